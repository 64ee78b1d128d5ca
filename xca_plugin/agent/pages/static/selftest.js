// SPDX-License-Identifier: Apache-2.0
// Opens windows as sites do: one on a click and, when that has answered, a second one without a click.

const button = document.getElementById("try-windows");
const result = document.getElementById("windows");

function say(name) {
  for (const verdict of result.querySelectorAll("[data-verdict]")) verdict.hidden = verdict.dataset.verdict !== name;
}

const openWindow = () => open("/selfTest/window", "_blank", "width=230,height=250");

button.hidden = false;
button.addEventListener("click", () => {
  say("none");
  addEventListener(
    "message",
    (event) => {
      if (event.origin === location.origin && event.data === "here") say(openWindow() ? "both" : "first");
    },
    { once: true },
  );
  if (!openWindow()) say("neither");
});
