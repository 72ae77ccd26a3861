"""Simulated people who use the workbench in a browser: with a mouse, with the keyboard alone, and by touch on a phone.

All of them have the same methods, so that each person can run the scenario of `workbench_story`.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import ClassVar

# A pixel of the scene that is narrower than this is zoomed in before it is touched.
_FINGER_PX = 4


class Visits:
    """Opens pages of the workbench, and records their messages and requests.

    Parameters
    ----------
    chromium
        The browser.
    size_px : tuple of int
        Default width and height of a page. Drawing takes less time on smaller pages.

    Attributes
    ----------
    complaints : list of str
        Messages and errors of the pages, without messages of the browser about requests to a killed service.
    requests : list of str
        Addresses that the pages requested.
    """

    def __init__(self, chromium, size_px=(1280, 800)):
        self._chromium, self._contexts, self._size_px, self._is_away = chromium, [], size_px, False
        self.complaints, self.requests = [], []

    def __call__(self, address, width=None, **options):
        """Open an address of a service in a new page, as soon as the service accepts connections."""
        width, height = (width, 800) if width else self._size_px
        viewport = {"width": width, "height": height}
        context = self._chromium.new_context(viewport=viewport, is_mobile=width < 600, **options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        for _ in range(400):
            try:
                page.goto(address)
                break
            except Exception:  # noqa: BLE001  # of playwright
                page.wait_for_timeout(50)
        return page

    def _hear(self, message):
        if not (self._is_away and message.text.startswith("Failed to load resource: net::ERR_")):
            self.complaints.append(message.text)

    @contextmanager
    def killed(self, service):
        """Kill a service, and start the service again when the ``with`` block ends.

        Until `back` is called, messages of the browser about failed requests are ignored.
        """
        self._is_away = True
        service.kill()
        try:
            yield
        finally:
            service.start()

    def back(self):
        """Record all messages again. Call this method when the page has noticed that the service runs again."""
        self._is_away = False

    @property
    def foreign_requests(self):
        """Addresses of requests to any server other than the service."""
        return [url for url in self.requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]

    def close(self):
        """Close all pages."""
        for context in self._contexts:
            context.close()


class Person:
    """A person who uses a page of the workbench.

    Subclasses implement how the person presses buttons, writes text, chooses from lists and points at pixels.
    """

    name: ClassVar[str]
    screen: ClassVar[dict[str, object]]

    def __init__(self, page):
        self.page = page
        page.wait_for_selector("#workbench[data-drawn]", timeout=60_000)

    @property
    def drawn(self):
        return self.page.get_attribute("#workbench", "data-drawn")

    def until_drawn(self, action, *arguments):
        """Call a method that changes the labels, and wait until the next map is drawn."""
        before = self.drawn
        action(*arguments)
        self.page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])")

    @property
    def counts(self):
        """Number of labelled pixels of each class, as the list of classes shows them."""
        return {
            button.get_attribute("data-name"): int(re.search(r"\d+$", button.locator(".count").text_content())[0])
            for button in self.page.locator(".class").all()
        }

    @property
    def pixel_shown(self):
        """Row and column of the pixel that the page describes; None if the page shows another text."""
        found = re.match(r"row (\d+), column (\d+)", self.page.text_content("#readout"))
        return found and (int(found[1]), int(found[2]))

    def place(self, row, col):
        """Return the position of the centre of a pixel on the screen, and the width of the pixel on the screen, in screen pixels.

        The position is computed from the image of the labels, which covers the whole scene.
        """
        left, top, scale = self.page.evaluate(
            """() => {
                const { x, y, width } = document.querySelector("#stage canvas.smooth").getBoundingClientRect();
                return [x, y, width / document.getElementById("workbench").dataset.cols];
            }"""
        )
        return left + (col + 0.5) * scale, top + (row + 0.5) * scale, scale

    def press(self, selector):
        """Activate a button, a link or a menu."""
        raise NotImplementedError

    def write(self, selector, text):
        """Write text into an empty field."""
        raise NotImplementedError

    def choose(self, selector, value):
        """Choose an entry of a list."""
        raise NotImplementedError

    def choose_file(self, selector, file):
        """Choose a file in the dialog that the browser opens."""
        with self.page.expect_file_chooser() as chooser:
            self.press(selector)
        chooser.value.set_files(file)

    def choose_class(self, number):
        """Choose the class that later clicks assign to pixels."""
        self.press(f".class[data-number='{number}']")

    def answer(self, number):
        """Answer a check place with a class number; 0 skips the place."""
        self.press(f"#check-classes [data-number='{number}']" if number else "[data-check=skip]")

    def point(self, row, col):
        """Point at a pixel, so that the page describes the pixel."""
        raise NotImplementedError

    def label(self, row, col):
        """Label a pixel with the class from `choose_class`."""
        raise NotImplementedError

    def download(self, selector, file):
        """Download a file from the menu of files."""
        self.press("#files > summary")
        with self.page.expect_download() as download:
            self.press(f"#files {selector}")
        download.value.save_as(file)
        self.press("#files > summary")


class Mouse(Person):
    """A person who uses the mouse, and the keyboard only to write text."""

    name, screen = "mouse", {}

    def press(self, selector):
        self.page.click(selector)

    def write(self, selector, text):
        self.page.click(selector)
        self.page.keyboard.type(text)

    def choose(self, selector, value):
        self.page.select_option(selector, value)  # the list that opens belongs to the system, where no test can click

    def point(self, row, col):
        self._bring_into_view(row, col)
        x, y, _ = self.place(row, col)
        # Where pixels of the scene are as small as those of the screen, the first try may miss.
        for right, down in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)):
            self.page.mouse.move(x + right, y + down)
            if self.pixel_shown == (row, col):
                return
        raise AssertionError(f"row {row}, column {col} is not on the screen")

    def label(self, row, col):
        self.point(row, col)
        self.page.mouse.down()
        self.page.mouse.up()

    def _bring_into_view(self, row, col):
        """Zoom out until the stage shows a pixel, because a suggestion may have zoomed in."""
        stage = self.page.locator("#stage")
        stage.scroll_into_view_if_needed()
        box = stage.bounding_box()
        for _ in range(12):
            x, y, _ = self.place(row, col)
            if box["x"] < x < box["x"] + box["width"] and box["y"] < y < box["y"] + box["height"]:
                return
            self.page.click(".leaflet-control-zoom-out")
            self.page.wait_for_selector(".leaflet-zoom-anim", state="detached")
        raise AssertionError(f"row {row}, column {col} does not come into view")


class Keyboard(Person):
    """A person who uses only the keyboard: shortcuts, the Tab key, arrow keys and Enter."""

    name, screen = "keyboard", {}
    shortcuts: ClassVar[dict[str, str]] = {
        "#suggest": "n", "#undo": "Control+z", "#redo": "y", "#check": "c", "[data-check=skip]": "0", "[data-check=stop]": "Escape",
        "[data-tool=pixel]": "x",
    }  # fmt: skip

    def press(self, selector):
        if key := self.shortcuts.get(selector):
            self.press_key(key)
        else:
            self.reach(selector)
            self.page.keyboard.press("Enter")

    def press_key(self, key):
        """Move the focus to the map, and press a key that is a shortcut there. In a text field, the key would type a letter."""
        self.reach("#stage")
        self.page.keyboard.press(key)

    def reach(self, selector):
        """Move the focus to an element with the Tab key."""
        target = self.page.locator(selector).element_handle()
        for _ in range(200):
            way = target.evaluate(
                """target => target === document.activeElement ? "" :
                    document.activeElement.compareDocumentPosition(target) & Node.DOCUMENT_POSITION_PRECEDING ? "Shift+Tab" : "Tab" """
            )
            if not way:
                return
            self.page.keyboard.press(way)
        raise AssertionError(f"{selector} can't be reached by the Tab key")

    def write(self, selector, text):
        self.reach(selector)
        self.page.keyboard.type(text)

    def choose(self, selector, value):
        self.reach(selector)
        values = self.page.eval_on_selector_all(f"{selector} option", "all => all.map(one => one.value)")
        now = self.page.input_value(selector)
        steps = values.index(value) - values.index(now)
        for _ in range(abs(steps)):
            self.page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")

    def choose_class(self, number):
        self.press_key(str(number))

    def answer(self, number):
        self.press_key(str(number))

    def point(self, row, col):
        self.reach("#stage")
        self.page.keyboard.press("ArrowLeft")  # the page names the pixel below the cursor
        at_row, at_col = self.pixel_shown
        for steps, keys in ((row - at_row, ("ArrowUp", "ArrowDown")), (col - at_col, ("ArrowLeft", "ArrowRight"))):
            tens, ones = divmod(abs(steps), 10)
            for key in [f"Shift+{keys[steps > 0]}"] * tens + [keys[steps > 0]] * ones:
                self.page.keyboard.press(key)
        assert self.pixel_shown == (row, col)

    def label(self, row, col):
        self.point(row, col)
        self.page.keyboard.press("Enter")


class Touch(Person):
    """A person who uses a phone by tapping, dragging and pinching."""

    name, screen = "touch", {"width": 390, "has_touch": True}

    def __init__(self, page):
        super().__init__(page)
        self._fingers = page.context.new_cdp_session(page)

    def press(self, selector):
        self.page.tap(selector)

    def write(self, selector, text):
        self.page.tap(selector)
        self.page.keyboard.type(text)  # the one on the screen

    def choose(self, selector, value):
        self.page.select_option(selector, value)  # as for the mouse

    def point(self, row, col):
        self.page.tap("[data-tool=move]")
        self.label(row, col)

    def label(self, row, col):
        stage = self.page.locator("#stage")
        stage.scroll_into_view_if_needed()
        box = stage.bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        if (width := self.place(row, col)[2]) < _FINGER_PX:
            self._pinch(middle, _FINGER_PX / width)
        self._drag_into(box, middle, row, col)
        self.page.touchscreen.tap(*self.place(row, col)[:2])

    def _drag_into(self, box, middle, row, col):
        """Drag a pixel away from the borders of the stage, where buttons lie."""
        for _ in range(20):
            x, y, _ = self.place(row, col)
            right, down = middle[0] - x, middle[1] - y
            if abs(right) < box["width"] / 2 - 60 and abs(down) < box["height"] / 2 - 60:
                return
            share = min(1, 0.8 * box["width"] / max(abs(right), 1), 0.8 * box["height"] / max(abs(down), 1))
            half = right * share / 2, down * share / 2
            self._move([(middle[0] - half[0], middle[1] - half[1])], [(middle[0] + half[0], middle[1] + half[1])])
        raise AssertionError(f"row {row}, column {col} can't be dragged into view")

    def _pinch(self, middle, factor):
        x, y = middle
        reach = 120
        near = reach / min(factor * 1.2, 8)
        self._move([(x - near, y), (x + near, y)], [(x - reach, y), (x + reach, y)])

    def _move(self, start, end, steps=4):
        """Put fingers on the screen, move them, and lift them. Wait until the scene no longer moves."""

        def send(kind, points):
            touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
            self._fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

        send("touchStart", start)
        for step in range(1, steps + 1):
            send("touchMove", [
                (x + (u - x) * step / steps, y + (v - y) * step / steps) for (x, y), (u, v) in zip(start, end, strict=True)
            ])  # fmt: skip
        send("touchEnd", [])
        self.page.evaluate(
            """async () => {
                const canvas = document.querySelector("#stage canvas.smooth");
                const at = () => Object.values(canvas.getBoundingClientRect().toJSON()).join();
                for (let before = "", rests = 0; rests < 3; rests = at() === before ? rests + 1 : 0) {
                    before = at();
                    await new Promise((resolve) => setTimeout(resolve, 40));
                }
            }"""
        )


PEOPLE = (Mouse, Keyboard, Touch)
