// Appended to a page of `lab trace` by the tests: what is wrong with how it looks, as text in the page.
addEventListener("load", () => {
  const wrong = [];
  const svg = document.querySelector("svg");
  const box = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
  for (const [words, at] of texts) {
    if (at.left < box.left || at.right > box.right || at.top < box.top || at.bottom > box.bottom) {
      wrong.push(`outside of the picture: ${words}`);
    }
  }
  const overlap = (one, other) =>
    Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
    Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 5;
  texts.forEach(([words, at], number) => {
    for (const [others, there] of texts.slice(number + 1)) {
      if (overlap(at, there)) wrong.push(`on each other: ${words} | ${others}`);
    }
  });
  for (const arrow of svg.querySelectorAll("[data-arrow]")) {
    const [from, to] = arrow.dataset.arrow.split(" ").map(Number);
    if (to < from) wrong.push(`an arrow upwards: ${arrow.textContent}`);
  }
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) wrong.push(`the page is ${page.scrollWidth} wide, the window ${innerWidth}`);
  const result = document.createElement("pre");
  result.textContent = `CHECKED ${texts.length} texts\n${wrong.join("\n")}\nEND`;
  document.body.append(result);
});
