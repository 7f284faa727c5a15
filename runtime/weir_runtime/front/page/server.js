// What the server says of itself: its load as it changes, and why it refuses.
const AGAIN_MS = 5000;

// Calls `show` with each load report, and with null while the server cannot be reached.
export function watchLoad(show) {
  const source = new EventSource('/v1/load');
  source.onmessage = ({ data }) => show(JSON.parse(data));
  source.onerror = () => {
    show(null);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => watchLoad(show), AGAIN_MS);
  };
}

const count = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;

// A report in words: the state, and its figures as [name, text] pairs.
export function describe(load) {
  if (!load) return { state: 'unreachable', text: 'Server not reachable', figures: [] };
  const degraded = load.state === 'ready' && load.rung > 0;
  const text = load.state === 'draining' ? 'Server shutting down' : degraded ? 'Server busy' : 'Server ready';
  return {
    state: degraded ? 'degraded' : load.state,
    text,
    figures: [
      ['rung', `${load.rung_name}${load.rung ? ` (step ${load.rung})` : ''}`],
      ['streams', count(load.streams, 'stream')],
      ['slots', `${load.slots.used} of ${load.slots.total} slots`],
      ['queue', `${load.queue.audio_s.toFixed(1)} s queued`],
      ['refused', `${load.refused} refused`],
      ['variant', `model ${load.variant}`],
    ],
  };
}

// Why a handshake failed, asked by plain HTTP.
export async function askAdmission(options, key) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(`/v1/admission?${options}`, { cache: 'no-store', headers });
  } catch {
    return { why: 'unreachable' };
  }
  if (response.ok) return { why: 'lost' };
  const body = await response.json().catch(() => ({}));
  const waitMs = 1000 * Number(response.headers.get('Retry-After'));
  if (body.reason === 'audio_seconds') return { why: 'failed', code: body.reason }; // nobody waits until midnight
  if (response.status === 429) return { why: 'quota', waitMs };
  if (response.status < 500) return { why: 'failed', code: body.error, text: body.message };
  return { why: body.reason === 'draining' ? 'drain' : 'full', waitMs };
}
