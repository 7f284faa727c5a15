// Events in, transcript out; nothing here touches the page. Offsets of the protocol count code points, not UTF-16.
// A transcript is { finals, interim }: finals only ever grow, the interim is the open segment's text so far.
const PAUSE_MS = 2000; // a longer pause starts a paragraph
const CUE_CHARS = 80; // two lines of subtitles
const points = (text) => Array.from(text);

export const empty = () => ({ finals: [], interim: null, fresh: true });
export const revise = (old, offset, text) => points(old).slice(0, offset).join('') + text;
export function split(text, at) {
  const all = points(text);
  return [all.slice(0, at).join(''), all.slice(at).join('')];
}

// Whether a segment that starts at `start` opens a paragraph.
function opens({ finals, fresh }, start) {
  return fresh || start - finals.at(-1).end > PAUSE_MS;
}

// `fresh`: a new session began, so the server does not know what its first words follow.
export function apply(state, event) {
  switch (event.type) {
    case 'ready':
      return { ...state, interim: null, fresh: true };
    case 'interim': {
      const old = state.interim?.seg === event.seg ? state.interim.text : '';
      const text = revise(old, event.offset, event.text);
      const { seg, stable, start_ms: start } = event;
      return { ...state, interim: { seg, text, stable, start, lead: ' ', opens: opens(state, start) } };
    }
    case 'final': {
      const interim = state.interim?.seg > event.seg ? state.interim : null;
      if (!event.text) return { ...state, interim };
      const { text, lead = ' ', words = [], start_ms: start, end_ms: end } = event;
      const final = { text, lead, words, start, end, opens: opens(state, start) };
      return { finals: [...state.finals, final], interim, fresh: false };
    }
    default:
      return state;
  }
}

// Subtitles of a final: one, or several where it is long and its words carry times.
function cues({ text, words, start, end }) {
  if (words.map((word) => word.w).join(' ') !== text) return [{ text: text.replace(/\s+/g, ' '), start, end }];
  const found = [];
  for (const { w, s, e } of words) {
    const last = found.at(-1);
    if (last && last.text.length + 1 + w.length <= CUE_CHARS) {
      last.text += ` ${w}`;
      last.end = e;
    } else found.push({ text: w, start: s, end: e });
  }
  return found;
}

const clock = (ms, mark) => new Date(Math.max(0, ms)).toISOString().slice(11, 23).replace('.', mark);
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

export const formats = {
  txt: (finals) => `${finals.map((f, i) => (i ? (f.opens ? '\n' : f.lead) : '') + f.text).join('')}\n`,
  srt: (finals) => finals.flatMap(cues)
    .map((c, i) => `${i + 1}\n${clock(c.start, ',')} --> ${clock(c.end, ',')}\n${c.text}\n`).join('\n'),
  vtt: (finals) => ['WEBVTT\n', ...finals.flatMap(cues)
    .map((c) => `${clock(c.start, '.')} --> ${clock(c.end, '.')}\n${escape(c.text)}\n`)].join('\n'),
};
