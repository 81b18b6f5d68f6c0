// Runs before the first paint: a page that turns dark after it was light flashes.
(() => {
  const KEY = "becas-theme";
  const next = {auto: "light", light: "dark", dark: "auto"};
  const root = document.documentElement;
  const now = () => next[localStorage.getItem(KEY)] ? localStorage.getItem(KEY) : "auto";
  const apply = () => {
    if (now() === "auto") delete root.dataset.theme;
    else root.dataset.theme = now();
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${now()}`;
    dispatchEvent(new Event("themechange"));
  };
  apply();
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      localStorage.setItem(KEY, next[now()]);
      apply();
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
})();
