// Chromium, driven by lines of JSON on standard input: [method, ...arguments]; each is answered by a
// line, {"value": …} or {"error": …}. Arguments: path of playwright-core, of axe-core, of Chromium.
"use strict";
const { readFileSync } = require("node:fs");
const readline = require("node:readline");

const [playwright, axe, executablePath] = process.argv.slice(2);
const { chromium } = require(playwright);

let browser, context, page, noise, requests;

const methods = {
  async open(url, options) {
    await context?.close();
    browser ??= await chromium.launch({ executablePath, args: ["--no-sandbox"] });
    context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    page = await context.newPage();
    [noise, requests] = [[], []];
    page.on("console", (message) => noise.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => noise.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => { noise.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("request", (request) => requests.push(request.url()));
    page.on("websocket", (socket) => requests.push(socket.url()));
    const began = performance.now();
    await page.goto(url);
    return performance.now() - began;
  },
  noise: async () => noise,
  requests: async () => requests,
  evaluate: (expression) => page.evaluate(expression),
  // Playwright's own waiting does what our pages' policy forbids.
  async until(expression) {
    const deadline = performance.now() + 20_000;
    const isTrue = () => page.evaluate(expression).catch((error) => {
      if (!/navigation/.test(error.message)) throw error;
    });
    while (!(await isTrue())) {
      if (performance.now() > deadline) throw new Error(`never true: ${expression}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  text: (selector) => page.innerText(selector),
  texts: (selector) => page.locator(selector).allInnerTexts(),
  click: (selector) => page.click(selector),
  hover: (selector, position) => page.hover(selector, { position }),
  fill: (selector, text) => page.fill(selector, text),
  choose: (selector, value) => page.selectOption(selector, value),
  focus: (selector) => page.focus(selector),
  press: (key) => page.keyboard.press(key),
  // What is wrong for people who use a screen reader, a keyboard, or little contrast.
  async axe() {
    await page.evaluate(readFileSync(axe, "utf8"));
    const found = await page.evaluate("axe.run()");
    return found.violations.map(({ id, impact, nodes }) =>
      `${impact} ${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`);
  },
  async picture(path, options) {
    await page.screenshot({ path, ...options });
  },
  async pdf() {
    return (await page.pdf()).length;
  },
};

async function answer(line) {
  const [method, ...given] = JSON.parse(line);
  try {
    return { value: (await methods[method](...given)) ?? null };
  } catch (error) {
    return { error: String(error.message) };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
  }
  await browser?.close();
})();
