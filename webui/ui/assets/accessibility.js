/** What Gradio's own components lack for those who do not see them. */

/** A label on a plain <div> is not read out: a picture field is a group of controls. */
function nameGroups() {
  for (const field of document.querySelectorAll("div.image-container[aria-label]:not([role])")) {
    field.setAttribute("role", "group");
  }
}

/**
 * An upload field bears a label that differs from the words on it, so that it cannot be called by
 * what is written there: without the label, the words are its name.
 */
function nameByContent() {
  for (const button of document.querySelectorAll("button.upload-container[aria-label]")) {
    if (button.textContent.trim()) button.removeAttribute("aria-label");
  }
}

function mend() {
  nameByContent();
  nameGroups();
}

export function watchAccessibility() {
  mend();
  new MutationObserver(mend).observe(document.body, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["aria-label"],
  });
}
