// Before anything is drawn, so that no wrong light flashes up; hence no module.
document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "auto";
