const button = document.querySelector("button[data-once]");
button.form.addEventListener("submit", () => {
  button.disabled = true;
});
// A page that the browser kept and shows again takes a new try.
addEventListener("pageshow", (event) => {
  if (event.persisted) button.disabled = false;
});
if ("atOnce" in button.dataset) button.form.requestSubmit(button);
