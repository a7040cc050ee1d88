// Runs before the first paint: puts a reader's choice of theme on the page. Without a choice the system's counts.
try {
  const choice = localStorage.getItem('loop-theme');
  if (choice === 'light' || choice === 'dark') document.documentElement.dataset.theme = choice;
} catch {
  // Storage may be switched off; the system's theme is fine then.
}
