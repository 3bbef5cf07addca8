// What the tests ask of the page: evaluated in it, as an object of functions.
({
  // How many colours the chart has been drawn in, roughly.
  colours() {
    const canvas = document.querySelector("#chart-a canvas");
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const found = new Set();
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] > 150) found.add(((data[at] >> 5) << 6) | ((data[at + 1] >> 5) << 3) | (data[at + 2] >> 5));
    }
    return found.size;
  },

  // Texts whose contrast is too small (WCAG 2.2, success criterion 1.4.3).
  pale() {
    const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = (colour) => {
      const [red, green, blue] = parse(colour).map((value) => {
        const share = value / 255;
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ground = (element) => {
      for (let each = element; each; each = each.parentElement) {
        const colour = getComputedStyle(each).backgroundColor;
        if (parse(colour)[3] !== 0) return colour;
      }
      return "rgb(255, 255, 255)";
    };
    const found = [];
    for (const element of document.querySelectorAll("main *, header *, dialog *")) {
      const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
      if (!says || !element.offsetParent || element.closest(".spare, :disabled")) continue;
      const [one, other] = [light(getComputedStyle(element).color), light(ground(element))];
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      if (ratio < 4.5) found.push(`${element.tagName} ${element.className} ${element.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
    }
    return found;
  },

  // Buttons that are too small for a thumb.
  small() {
    return [...document.querySelectorAll(".modes button")]
      .filter((button) => button.getBoundingClientRect().height < 40).map((button) => button.textContent);
  },
})
