// The page: one run from Start to Stop at a time, and what happens said in words.
import { level, openAudio } from './audio.js';
import { apply, empty, formats } from './captions.js';
import { Link } from './link.js';
import { offerSamples } from './samples.js';
import { askAdmission, watchLoad } from './server.js';
import { chosen, keepKey, key, showLoad } from './settings.js';
import { minutes, paint, remark, say, watchReader, wipe } from './view.js';
import { ADVICE, ENDED, WAITING, WARNINGS } from './words.js';

const $ = (id) => document.getElementById(id);
const FRAME_MS = 80, QUIET_FRAMES = 5000 / FRAME_MS, MIDDLE_OF = 20, NOTE_MS = 8000;
let transcript = empty();
let run = null; // { audio, link, lock, ending, quiet } while there is one
let heardMs = 0; // sound heard so far, over all runs: the clock of the captions
let delays = [];
let noteTimer;

function enter(state) {
  document.body.dataset.state = state;
  $('start').textContent = state === 'idle' ? 'Start' : 'Stop';
  for (const button of document.querySelectorAll('[popovertarget=samples-menu]')) button.disabled = state !== 'idle';
  for (const id of ['copy', 'save']) $(id).disabled = !transcript.finals.length;
  $('clear').disabled = state !== 'idle' || !$('log').childElementCount;
}

const listening = () => say(run.url ? 'Playing a sample' : run.quiet < QUIET_FRAMES ? 'Listening'
  : 'Listening, but no sound arrives. Is the microphone muted?', run.quiet < QUIET_FRAMES ? 'ok' : 'warn');

function onFrame(pcm) {
  if (!run) return;
  const loud = level(pcm), wasQuiet = run.quiet >= QUIET_FRAMES;
  heardMs += FRAME_MS;
  run.link?.push(pcm);
  run.quiet = loud > 0 || run.url ? 0 : run.quiet + 1;
  if (document.body.dataset.state === 'live' && wasQuiet !== run.quiet >= QUIET_FRAMES) listening();
  $('meter').firstElementChild.style.transform = `scaleX(${loud})`;
  $('clock').textContent = minutes(heardMs);
}

function onEvent(event, heardAt) {
  transcript = apply(transcript, event);
  if (heardAt !== null) {
    delays = [...delays, performance.now() - heardAt].slice(-MIDDLE_OF);
    $('delay').textContent = `${Math.round(delays.toSorted((a, b) => a - b)[delays.length >> 1])} ms`;
  }
  if (['ready', 'interim', 'final'].includes(event.type)) paint(transcript);
  if (event.type === 'final') enter(document.body.dataset.state);
  if (event.type === 'warning' || (event.type === 'error' && !event.fatal)) note(event);
}

// What the server remarks stays for a while; then the line says again what goes on.
function note(event) {
  clearTimeout(noteTimer);
  say(WARNINGS[event.code] ?? event.detail ?? event.message ?? event.code, event.code === 'recovered' ? 'ok' : 'warn');
  noteTimer = setTimeout(() => { if (document.body.dataset.state === 'live') listening(); }, NOTE_MS);
}

function onState(state, { ms, lostMs, everLive, code, text } = {}) {
  clearTimeout(noteTimer);
  if (state === 'closed') return finish(run.ending ?? 'Stopped.');
  if (state === 'failed') return finish(ENDED[code] ?? text ?? 'The server ended the session.', 'bad');
  if (state === 'live') {
    enter('live');
    if (lostMs > 0) remark(`${Math.ceil(lostMs / 1000)} s of sound could not be kept and are missing here.`);
    run.audio.begin();
    return run.stopping ? say('Finishing…') : listening();
  }
  enter('waiting');
  return say(`${WAITING[state]} ${WAITING[everLive ? 'kept' : 'deaf']} Trying again in`, 'warn', performance.now() + ms);
}

async function start(url) {
  if (run) return;
  const mine = run = { url, quiet: 0 };
  delays = [];
  say(url ? 'Loading the sample…' : 'Asking for the microphone…');
  enter('starting');
  try {
    mine.audio = await openAudio({ url, onFrame, onEnd: (why) => end(ENDED[why]) });
    if (run !== mine) return void mine.audio.stop(); // stopped while the browser asked
    const options = chosen(), address = new URL('/v1/stream', location.href), token = key();
    address.protocol = address.protocol.replace('http', 'ws');
    address.search = `${new URLSearchParams({ sample_rate: 16000, encoding: 'pcm_s16le', revisions: 'delta' })}&${options}`;
    mine.link = new Link({
      url: address, protocols: token ? ['weir.v1', `bearer.${token}`] : ['weir.v1'], startMs: heardMs,
      ask: () => askAdmission(options, token),
    }, { event: onEvent, state: onState });
    mine.lock = await navigator.wakeLock?.request('screen').catch(() => null);
    if (run !== mine) mine.lock?.release();
  } catch (error) {
    if (run === mine) finish(ADVICE[error.name] ?? `That did not work: ${error.message}`, 'bad');
  }
}

// The sound is over: let the server finish what it has, also over a connection that is lost just now.
async function end(words) {
  const mine = run;
  if (!mine || mine.stopping) return;
  Object.assign(mine, { stopping: true, ending: words });
  await mine.audio.stop();
  if (run !== mine) return;
  if (document.body.dataset.state === 'live') say('Finishing…');
  mine.link.close();
}

// The reader pressed Stop; who waits for a connection, or presses twice, does not wait for the server.
function stop() {
  if (!run.link) return finish('Stopped.');
  if (document.body.dataset.state === 'waiting' || run.stopping) return run.link.abort();
  return end();
}

function finish(words, kind) {
  const { audio, stopping, lock } = run;
  run = null;
  if (audio && !stopping) audio.stop();
  lock?.release();
  transcript = { ...transcript, interim: null };
  paint(transcript);
  $('meter').firstElementChild.style.transform = '';
  say(words, kind);
  enter('idle');
}

function save(format) {
  const url = URL.createObjectURL(new Blob([formats[format](transcript.finals)], { type: 'text/plain' }));
  Object.assign(document.createElement('a'), { href: url, download: `captions.${format}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  $('save-menu').hidePopover();
}

$('start').onclick = () => (run ? stop() : start());
$('copy').onclick = async () => {
  try {
    await navigator.clipboard.writeText(formats.txt(transcript.finals));
    $('copy').textContent = 'Copied';
  } catch { // no page on plain http may do it
    $('copy').textContent = 'Not allowed';
  }
  setTimeout(() => { $('copy').textContent = 'Copy'; }, 2000);
};
for (const button of $('save-menu').children) button.onclick = () => save(button.dataset.format);
$('clear').onclick = () => {
  transcript = empty();
  heardMs = 0;
  $('clock').textContent = minutes(heardMs);
  wipe();
  paint(transcript);
  say('Ready when you are.');
  enter('idle');
};
addEventListener('keydown', (event) => {
  if (event.key !== ' ' || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest('button, select, input, a, [popover]')) return;
  event.preventDefault();
  $('start').click();
});
document.addEventListener('visibilitychange', async () => { // the browser releases the lock of a hidden page
  if (run?.lock?.released && !document.hidden) run.lock = await navigator.wakeLock.request('screen').catch(() => null);
});
addEventListener('beforeunload', (event) => { if (run) event.preventDefault(); });
keepKey();
watchReader();
watchLoad(showLoad);
offerSamples(start);
