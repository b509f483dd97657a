// A server without a home volume needs no size of one. Included in options_form.html.

const size = /** @type {HTMLInputElement | null} */ (document.getElementById("home_size"));
const none = /** @type {HTMLInputElement | null} */ (document.getElementById("home-none"));

function update() {
  if (size && none) size.disabled = none.checked;
}

for (const radio of document.querySelectorAll("input[name=home]")) radio.addEventListener("change", update);
update();

export {};
