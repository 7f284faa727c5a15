// The recordings that the server offers, with what is said in them and whose they are.
const menu = document.getElementById('samples-menu');

const made = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text, ...more });

// Fills the menu; `play` is called with the address of the one that is chosen.
export async function offerSamples(play) {
  const response = await fetch('/v1/samples');
  const list = response.ok ? await response.json() : [];
  for (const { name, url, text, seconds } of list) {
    const button = made('button', name, { onclick: () => { menu.hidePopover(); play(url); } });
    button.append(made('i', `${Math.round(seconds)} s`), made('small', text));
    menu.append(button);
  }
  for (const { attribution, source, licence } of new Map(list.map((each) => [each.attribution, each])).values()) {
    const credit = made('p', list.filter((each) => each.attribution === attribution).map((each) => each.name).join(', '));
    credit.append(': ', made('a', attribution, { href: source, target: '_blank', rel: 'noopener' }), `. ${licence}`);
    menu.append(credit);
  }
  document.getElementById('samples').hidden = !list.length;
}
