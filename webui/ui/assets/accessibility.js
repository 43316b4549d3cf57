/** What Gradio's own components lack for those who do not see them. */

/**
 * An upload field bears a label that differs from the words on it, so that it cannot be called by
 * what is written there: without the label, the words are its name.
 */
function nameByContent() {
  for (const button of document.querySelectorAll("button.upload-container[aria-label]")) {
    if (button.textContent.trim()) button.removeAttribute("aria-label");
  }
}

export function watchAccessibility() {
  nameByContent();
  new MutationObserver(nameByContent).observe(document.body, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["aria-label"],
  });
}
