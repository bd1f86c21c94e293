package main

import (
	"fmt"
	"strings"
)

// themes looks at the page in both themes, chosen by the system and by the button, and
// on a phone: every text can be told from what is behind it and has its place, what the
// keyboard is at shows, and nothing is wider than the window.
func (b *browser) themes() {
	b.t.Helper()
	b.eval(`document.querySelector("[name=window]").click()`, nil)
	const back = `getComputedStyle(document.body).backgroundColor`
	backs := map[string]string{}
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int{1280, 800, 360} {
			b.screen(width, 800, theme)
			b.await(fmt.Sprintf("the page fits %d", width), `innerWidth === `+fmt.Sprint(width)+` && document.documentElement.scrollWidth <= innerWidth`)
			b.mustBeReadable()
			b.mustHavePlace()
			if width != 800 {
				b.shoot(fmt.Sprintf("%s-%d", theme, width))
			}
		}
		b.mustShowFocus()
		var color string
		b.eval(back, &color)
		backs[theme] = color
	}
	if backs["light"] == backs["dark"] {
		b.t.Errorf("both themes have %s", backs["light"])
	}
	b.screen(1280, 900, "dark")
	for _, theme := range []string{"light", "dark"} {
		b.eval(`document.querySelector("#theme").click()`, nil)
		b.await("the button chooses "+theme, back+fmt.Sprintf(" === %q", backs[theme]))
	}
	b.eval("window.former = true", nil)
	b.call("Page.reload", nil, nil)
	b.await("the choice is kept", `!window.former && document.readyState === "complete" && document.querySelector("#theme").innerText === "Theme: dark"`)
}

// mustBeReadable computes the contrast of every text with what is behind it, as WCAG
// 2.2 defines it: at least 4.5.
func (b *browser) mustBeReadable() {
	b.t.Helper()
	var poor []string
	b.eval(`(() => {
		const channels = (color) => color.match(/[\d.]+/g).map(Number);
		const light = (color) => {
			const [r, g, b] = channels(color).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
			return 0.2126 * r + 0.7152 * g + 0.0722 * b;
		};
		const behind = (e) => {
			for (; e; e = e.parentElement) {
				const color = getComputedStyle(e).backgroundColor, c = channels(color);
				if (c.length < 4 || c[3] > 0) return color;
			}
			return "rgb(255, 255, 255)";
		};
		const poor = new Set();
		const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		while (walk.nextNode()) {
			const e = walk.currentNode.parentElement;
			if (!walk.currentNode.data.trim() || e.closest("script, style, noscript") || !e.getClientRects().length) continue;
			const style = getComputedStyle(e);
			const a = light(e.closest("svg") ? style.fill : style.color), b = light(behind(e));
			const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			if (contrast < 4.5) poor.add(e.tagName + "." + e.className + " " + walk.currentNode.data.trim() + ": " + contrast.toFixed(2));
		}
		return [...poor];
	})()`, &poor)
	for _, text := range poor {
		b.t.Errorf("the contrast is poor: %s", text)
	}
}

// mustHavePlace looks where every text stands: within its card, and on no other text; and
// that the legend of a chart ends where the chart does.
func (b *browser) mustHavePlace() {
	b.t.Helper()
	var wrong []string
	b.eval(`(() => {
		const wrong = [], texts = [];
		const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		while (walk.nextNode()) {
			const text = walk.currentNode.data.trim(), e = walk.currentNode.parentElement;
			if (!text || e.closest("script, style, noscript, textarea, pre, .hidden, .skip")) continue;
			const range = document.createRange();
			range.selectNodeContents(walk.currentNode);
			for (const box of range.getClientRects()) {
				texts.push({ text, box });
				const around = (e.closest(".card, .tiles > div, button, .badge") || document.documentElement).getBoundingClientRect();
				if (box.left < around.left || box.right > around.right || box.top < around.top - 1 || box.bottom > around.bottom + 1) wrong.push(text + " is cut");
			}
		}
		if (texts.length < 50) wrong.push("there are only " + texts.length + " texts");
		texts.forEach((a, i) => texts.slice(i + 1).forEach((b) => {
			const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
			const high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
			if (wide > 1 && high > 4) wrong.push(a.text + " and " + b.text + " are on each other");
		}));
		for (const chart of document.querySelectorAll(".chart")) {
			const legend = chart.querySelector(".legend").getBoundingClientRect();
			const last = Math.max(...[...chart.querySelectorAll(".legend > span")].filter((e) => e.innerText).map((e) => e.getBoundingClientRect().right));
			if (last < legend.right - 1 && legend.left > chart.getBoundingClientRect().left + 30) wrong.push(chart.innerText + ": the legend ends " + (legend.right - last) + " too early");
		}
		return wrong;
	})()`, &wrong)
	for _, text := range wrong {
		b.t.Error(text)
	}
}

// mustShowFocus goes through the page by the keyboard: whatever it reaches has a line
// around it that is told from what is behind it, at a contrast of 3 or more.
func (b *browser) mustShowFocus() {
	b.t.Helper()
	b.eval(`document.activeElement.blur(); scrollTo(0, 0); window.reached = []`, nil)
	for range 60 {
		b.press("Tab")
		var what string
		b.eval(`(() => {
			const e = document.activeElement, seen = reached.includes(e);
			reached.push(e);
			if (e === document.body || seen) return "";
			const of = e.type === "radio" ? e.closest("label") : e, s = getComputedStyle(of);
			const light = (color) => {
				const [r, g, b] = color.match(/[\d.]+/g).map(Number).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
				return 0.2126 * r + 0.7152 * g + 0.0722 * b;
			};
			// What is around it; the line of a radio button is on a line of the card's colour.
			const card = of.closest(".card") || document.body;
			const back = of === e ? getComputedStyle(card).backgroundColor : s.boxShadow.match(/rgb[^)]*\)/)[0];
			const a = light(s.outlineColor), b = light(back), contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			const box = of.getBoundingClientRect();
			const there = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
			return (s.outlineStyle === "solid" && parseFloat(s.outlineWidth) >= 2 && contrast >= 3 && there ? "ok " : "BAD ") + e.tagName + " " + (e.name || e.textContent.slice(0, 20)) + " " + contrast.toFixed(1);
		})()`, &what)
		if strings.HasPrefix(what, "BAD") {
			b.t.Errorf("the focus does not show: %s", what)
		}
	}
	var reached int
	if b.eval(`new Set(reached).size`, &reached); reached < 14 {
		b.t.Errorf("the keyboard reaches %d things", reached)
	}
}
