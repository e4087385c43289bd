// What the pages do better with a script; all of them work without one. No text that came from elsewhere is ever
// parsed here but whole pages of our own origin.

const PAUSE_MS = 10_000;

/** Put every moment of a part of the page into the viewer's own zone; the UTC stays in its title. */
function localize(root) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[data-local]")) {
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
    time.removeAttribute("data-local");
  }
}

/** Offer to copy what is shown once. */
function offerCopies(root) {
  for (const button of root.querySelectorAll("button[data-copies]")) {
    const source = document.getElementById(button.dataset.copies);
    if (!navigator.clipboard || source === null) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    });
  }
}

/** Read the page again and take over the parts that live, unless somebody is at work in them. */
async function refresh() {
  const parts = [...document.querySelectorAll("[data-live][id]")];
  if (parts.length === 0 || document.hidden) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (answer.redirected || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of parts) {
    const found = page.getElementById(old.id);
    if (found === null || old.contains(document.activeElement) || old.querySelector("details[open]")) continue;
    localize(found);
    if (found.innerHTML !== old.innerHTML) old.replaceWith(document.adoptNode(found));
  }
}

async function keepFresh() {
  try {
    await refresh();
  } catch {
    // The gateway does not answer just now: the next time is soon.
  }
  setTimeout(keepFresh, PAUSE_MS);
}

/** Follow every task of a part of the page that is not over. */
function follow(root) {
  for (const part of root.querySelectorAll("[data-follows][id]")) lookAgainLater(part.id, part.dataset.againMs);
}

function lookAgainLater(id, pause_ms) {
  setTimeout(() => lookAgain(id), Number(pause_ms));
}

/** Read the page of a followed task again, with what stands beside it; until it is over. */
async function lookAgain(id) {
  const part = document.getElementById(id);
  if (!part?.dataset.follows) return;
  try {
    const answer = document.hidden ? null : await fetch(part.dataset.follows, { headers: { accept: "text/html" } });
    if (answer?.redirected) return;
    if (answer?.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      takeOver(part, page);
      for (const other of document.querySelectorAll("[data-beside][id]")) takeOver(other, page);
    }
  } catch {
    // The gateway does not answer just now.
  }
  lookAgainLater(id, part.dataset.againMs);
}

function takeOver(old, page) {
  const found = page.getElementById(old.id);
  if (found === null) return;
  localize(found);
  if (found.outerHTML !== old.outerHTML) old.replaceWith(document.adoptNode(found));
}

function begin(root) {
  localize(root);
  offerCopies(root);
  follow(root);
}

begin(document);
document.addEventListener("shown", (event) => begin(event.target));
setTimeout(keepFresh, PAUSE_MS);
