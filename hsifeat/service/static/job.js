// Live progress of a job, by server-sent events. The browser connects again by itself and continues after the last event.

const job = document.getElementById("job"), bar = document.getElementById("job-progress"), text = document.getElementById("job-text");
const events = new EventSource(job.dataset.events);
let total = 0, unit = "";

const parse = (event) => JSON.parse(event.data);
events.addEventListener("started", (event) => { ({ total, unit } = parse(event)); });
events.addEventListener("advanced", (event) => {
  const { done } = parse(event);
  if (total) bar.value = Math.min(done / total, 1);
  text.textContent = `${+done.toPrecision(4)} of ${+total.toPrecision(4)} ${unit}`;
});
events.addEventListener("note", (event) => { text.textContent = parse(event).message; });
events.addEventListener("state", (event) => {
  const { state } = parse(event);
  document.getElementById("job-state").textContent = state;
  if (["done", "failed", "cancelled"].includes(state)) { events.close(); location.reload(); }
});
