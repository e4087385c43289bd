// The playground, better with a script: only what the chosen model and dialect can take is shown, and an answer stands
// beside the form instead of in its place. The server composes, judges and words everything, with a script or without.

const form = document.getElementById("composer");
const outcome = document.getElementById("outcome");

/** Show what the chosen model and dialect know, and put the rest aside. */
function fit() {
  const offer = form.elements.offer.selectedOptions[0];
  const dialect = form.elements.dialect.selectedOptions[0];
  if (!offer || !dialect) return;
  const modes = offer.dataset.modes.split(" ");
  const options = offer.parentElement.dataset.options.split(" ");
  const lacks = dialect.dataset.lacks.split(" ");
  for (const field of form.querySelectorAll("fieldset[data-modes]")) {
    const name = field.querySelector("input").name;
    setAside(field, lacks.includes(name) || !field.dataset.modes.split(" ").some((mode) => modes.includes(mode)));
  }
  for (const field of form.querySelectorAll("[data-option]")) {
    const name = field.dataset.option;
    // What a model always does needs no saying: its box is put aside as it stands by default.
    setAside(field, lacks.includes(name) || !options.includes(name), name === "prompt_optimizer");
  }
  const most = Number(offer.parentElement.dataset.promptMax);
  form.querySelector("[data-prompt-rule]").textContent =
    `${form.elements.prompt.value.length} of ${most} characters; camera commands stand in brackets: [Push in]`;
}

function setAside(field, isAside, isSaidAnyway = false) {
  field.hidden = isAside;
  for (const input of field.querySelectorAll("input")) input.disabled = isAside && !isSaidAnyway;
  if (isAside && isSaidAnyway) field.querySelector("input").checked = true;
}

/** Send the form, and take over what the answer says: beside the fields, and in place of the last outcome. */
async function play(event) {
  event.preventDefault();
  if (form.getAttribute("aria-busy") === "true") return;
  const said = new FormData(form, event.submitter);
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body: said });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("outcome");
    if (found === null && answer.redirected) {
      location.assign("/dashboard/playground"); // the session is over
      return;
    }
    if (found === null) throw new Error("no answer of the playground's own");
    form.elements.number.value = page.querySelector("input[name=number]").value;
    tell(page);
    outcome.replaceChildren(...document.adoptNode(found).childNodes);
    outcome.dispatchEvent(new Event("shown", { bubbles: true }));
  } catch {
    // The form keeps its number: sent again, it is answered with what became of it.
    const notice = document.createElement("p");
    notice.className = "notice bad";
    notice.textContent = "No answer came. Send it again: it is not bought twice.";
    outcome.replaceChildren(notice);
  } finally {
    form.removeAttribute("aria-busy");
  }
  form.querySelector("[aria-invalid]")?.focus();
}

function tell(page) {
  for (const slot of form.querySelectorAll("[data-wrong]")) {
    const found = page.getElementById(slot.id);
    slot.textContent = found?.textContent ?? "";
    slot.hidden = slot.textContent === "";
    const field = form.querySelector(`[aria-describedby="${slot.id}"]`);
    if (slot.hidden) field?.removeAttribute("aria-invalid");
    else field?.setAttribute("aria-invalid", "true");
  }
}

form.addEventListener("submit", play);
form.addEventListener("input", fit);
fit();
