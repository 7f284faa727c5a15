// What the reader chose for the next session, and the server's line at the foot, which also names its models.
import { describe } from './server.js';

const $ = (id) => document.getElementById(id);
const KEY = 'weir.key'; // kept only if ticked, and only until the tab is closed

export const key = () => $('key').value.trim();

// Options for the stream; the page's own query is passed on, so that any option of the protocol can be tried.
export function chosen() {
  const options = new URLSearchParams(location.search);
  for (const name of ['model', 'class']) if ($(name).value) options.set(name, $(name).value);
  return options;
}

export function showLoad(load) {
  const { state, text, figures } = describe(load);
  $('server').dataset.state = state;
  $('server-state').textContent = text;
  $('server-figures').replaceChildren(...figures.map(([name, figure]) => {
    const made = document.createElement('span');
    made.dataset.name = name;
    made.textContent = figure;
    return made;
  }));
  for (const { name } of load?.variants ?? []) {
    if (![...$('model').options].some((option) => option.value === name)) $('model').add(new Option(name));
  }
}

export function keepKey() {
  $('key').value = sessionStorage.getItem(KEY) ?? '';
  $('remember').checked = Boolean($('key').value);
  $('settings').onchange = () => {
    if ($('remember').checked) sessionStorage.setItem(KEY, key());
    else sessionStorage.removeItem(KEY);
  };
  $('settings').onsubmit = (event) => { event.preventDefault(); $('settings').hidePopover(); };
}
