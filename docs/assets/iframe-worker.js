// Search in pages that are opened as files: browsers start no worker from file://, so its script runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.srcdoc = "<!doctype html><title>search</title>"
      this.ready = new Promise((resolve, reject) => {
        this.frame.onload = () => {
          const frame = this.frame.contentWindow
          const load = (source) =>
            new Promise((loaded, failed) => {
              const script = frame.document.createElement("script")
              Object.assign(script, { src: source, onload: loaded, onerror: failed })
              frame.document.head.append(script)
            })
          frame.importScripts = (...sources) => Promise.all(sources.map(load))
          frame.postMessage = (data) => {
            const message = new MessageEvent("message", { data })
            this.dispatchEvent(message)
            this.onmessage?.(message)
          }
          load(new URL(url, document.baseURI)).then(() => resolve(frame), reject)
        }
      })
      document.documentElement.append(this.frame)
    }
    postMessage(data) {
      this.ready.then((frame) => frame.dispatchEvent(new frame.MessageEvent("message", { data })))
    }
    terminate() {
      this.frame.remove()
    }
  }
}
