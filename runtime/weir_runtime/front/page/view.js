// What the reader sees of the transcript: text is only ever set as text, and finals are only ever added.
import { split } from './captions.js';

const $ = (id) => document.getElementById(id);
const box = $('box'), log = $('log');
const NEAR = 40; // this close to the end, in pixels, counts as reading along
const SIZE = 'weir.size';

const interim = document.createElement('span');
interim.id = 'interim';
interim.setAttribute('aria-hidden', 'true'); // it changes too often to be read out
let shown = 0, following = true, lastTop = 0;

export const minutes = (ms) => `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, '0')}`;

// A paragraph begins with its time, which a screen reader need not say.
function paragraph(start) {
  const made = document.createElement('p'), time = document.createElement('time');
  time.textContent = minutes(start);
  time.setAttribute('aria-hidden', 'true');
  made.append(time);
  log.append(made);
  return made;
}

// Adds what is new in the transcript and writes the interim anew.
export function paint({ finals, interim: open }) {
  interim.remove();
  if (log.lastElementChild?.matches('p:not(.gap):not(:has(span))')) log.lastElementChild.remove();
  for (const final of finals.slice(shown)) {
    const line = final.opens ? paragraph(final.start) : log.lastElementChild, text = document.createElement('span');
    text.textContent = (final.opens ? '' : final.lead) + final.text;
    line.append(text);
  }
  shown = finals.length;
  if (open) paintInterim(open);
  $('hint').hidden = log.childElementCount > 0;
  if (following) box.scrollTop = box.scrollHeight;
}

function paintInterim({ text, stable, lead, opens, start }) {
  const [sure, rest] = split(text, stable), dark = document.createElement('b');
  dark.textContent = (opens ? '' : lead) + sure;
  interim.replaceChildren(dark, rest);
  (opens ? paragraph(start) : log.lastElementChild).append(interim);
}

// A line of the page itself, between captions.
export function remark(text) {
  const line = document.createElement('p');
  line.className = 'gap';
  line.textContent = text;
  log.append(line);
}

export function wipe() {
  log.replaceChildren();
  shown = 0;
  follow();
}

function follow() {
  following = true;
  $('newest').hidden = true;
  box.scrollTop = box.scrollHeight;
}

export function watchReader() {
  box.addEventListener('scroll', () => {
    const below = box.scrollHeight - box.scrollTop - box.clientHeight;
    if (below < NEAR) following = true;
    else if (box.scrollTop < lastTop) following = false; // only the reader goes up
    lastTop = box.scrollTop;
    $('newest').hidden = following;
  });
  new ResizeObserver(() => { if (following) follow(); }).observe(box);
  $('newest').onclick = follow;
  resize(0);
  $('smaller').onclick = () => resize(-0.15);
  $('larger').onclick = () => resize(0.15);
}

function resize(by) {
  const size = Math.max(0.7, Math.min(3, Number(localStorage.getItem(SIZE) ?? 1) + by));
  localStorage.setItem(SIZE, size);
  document.documentElement.style.setProperty('--size', size);
  if (following) follow();
}

// What happens, in words. The ticking figure stands outside the live region, or it would be read out every second.
let ticking;
export function say(text, kind = '', untilMs = 0) {
  clearInterval(ticking);
  if ($('status').textContent !== text) $('status').textContent = text;
  $('status').parentElement.dataset.kind = kind;
  const tick = () => { $('countdown').textContent = `${Math.max(0, Math.ceil((untilMs - performance.now()) / 1000))} s`; };
  if (untilMs) {
    tick();
    ticking = setInterval(tick, 250);
  } else $('countdown').textContent = '';
}
