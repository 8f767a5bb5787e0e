document.querySelector("button[data-print]").addEventListener("click", () => window.print());
