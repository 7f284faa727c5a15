// The socket. It sends frames, and keeps those that no final covers yet: when the connection is lost, a new session
// starts where the last one left off, so that only sound older than KEEP frames can go missing.
// Times of events count from the page's own start: those of a session plus where that session began.
const FRAME_MS = 80;
const KEEP = 90_000 / FRAME_MS;
const PAD_MS = 500; // speech may begin a little before the server says so
const DEAD_MS = 10_000; // the server says something every 5 s
const SHUT_OUT = 3; // tries
const FATAL = new Set([1008, 1009, 4008, 4010]); // trying again would end the same way

export class Link {
  // `ask` tells why a handshake failed: { why, waitMs, text }. `tell` has event(event) and state(name, details).
  constructor({ url, protocols, startMs, ask }, tell) {
    Object.assign(this, { url, protocols, startMs, ask, tell });
    this.frames = []; // { pcm, at } from number `first` on; `next` is the number of the one to send next
    this.first = this.next = this.settled = this.origin = 0; // before `settled` all is captioned
    this.tries = this.unexplained = 0; // since it last went well; handshakes that failed though the server is not full
    this.closing = this.live = this.everLive = this.over = false;
    this.retry = () => { if (this.timer) this.dial(); };
    addEventListener('online', this.retry);
    this.dial();
  }

  push(pcm) {
    this.frames.push({ pcm, at: performance.now() });
    if (this.frames.length > KEEP) this.drop(this.first + 1);
    this.pump();
  }

  // A socket may be closing before anybody is told.
  get ready() {
    return this.live && this.ws.readyState === WebSocket.OPEN;
  }

  // Recognise what was sent, then end; waits for a connection if there is none.
  close() {
    this.closing = true;
    if (this.ready) this.ws.send('{"type":"close"}');
  }

  abort() {
    this.end('closed');
  }

  end(state, details) {
    this.over = true;
    clearTimeout(this.timer);
    clearTimeout(this.watch);
    removeEventListener('online', this.retry);
    this.hangUp();
    this.tell.state(state, details);
  }

  hangUp() {
    this.live = false;
    this.ws.onopen = this.ws.onmessage = this.ws.onclose = null;
    this.ws.close();
  }

  dial() {
    clearTimeout(this.timer);
    this.timer = this.fault = null;
    this.opened = false;
    this.ws = new WebSocket(this.url, this.protocols);
    this.ws.onopen = () => { this.opened = true; this.listen(); };
    this.ws.onmessage = ({ data }) => { this.listen(); this.heard(JSON.parse(data)); };
    this.ws.onclose = ({ code }) => this.lost(code);
    this.listen();
  }

  listen() {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => { this.hangUp(); this.lost(1006); }, DEAD_MS);
  }

  pump() {
    for (; this.ready && this.next < this.first + this.frames.length; this.next++) {
      this.ws.send(this.frames[this.next - this.first].pcm);
    }
  }

  drop(until) {
    this.frames.splice(0, until - this.first);
    this.first = until;
    this.next = Math.max(this.next, until);
  }

  heard(event) {
    if (event.type === 'ready') this.began();
    if (event.type === 'error' && event.fatal) this.fault = event;
    const heardAt = event.type === 'interim' ? this.capturedAt(event.end_ms) : null;
    this.settle(event);
    this.tell.event(this.onPageTime(event), heardAt);
  }

  began() {
    const lostMs = (this.first - this.settled) * FRAME_MS;
    this.origin = this.next = this.settled = this.first;
    this.saidMs = 0; // where the last final ends
    this.speechMs = Infinity; // where the segment without a final starts
    this.live = this.everLive = true;
    this.liveSince = performance.now();
    this.tell.state('live', { lostMs });
    this.pump();
    if (this.closing) this.close();
  }

  // Forget what cannot be needed again: all before the open segment, or before what was found to be silence.
  settle({ type, at_ms, end_ms, audio_ms }) {
    if (type === 'speech_started') this.speechMs = at_ms;
    if (type === 'final') [this.saidMs, this.speechMs] = [end_ms, Infinity];
    if (audio_ms === undefined) return;
    const quietMs = Math.max(this.saidMs, Math.min(audio_ms, this.speechMs) - PAD_MS);
    const from = this.origin + Math.floor(quietMs / FRAME_MS);
    this.settled = Math.max(this.settled, Math.min(from, this.next));
    if (this.settled > this.first) this.drop(this.settled);
  }

  // When the sound at `ms` of this session reached the page.
  capturedAt(ms) {
    const number = this.origin + Math.ceil(ms / FRAME_MS) - 1, frame = this.frames[number - this.first];
    return frame ? frame.at - ((number + 1 - this.origin) * FRAME_MS - ms) : null;
  }

  onPageTime(event) {
    const shift = this.startMs + this.origin * FRAME_MS, moved = { ...event };
    for (const name of ['start_ms', 'end_ms']) if (name in event) moved[name] += shift;
    if (event.words) moved.words = event.words.map((word) => ({ ...word, s: word.s + shift, e: word.e + shift }));
    return moved;
  }

  async lost(code) {
    clearTimeout(this.watch);
    if (this.live && performance.now() - this.liveSince > DEAD_MS) this.tries = 0;
    this.live = false;
    const { fault, opened } = this;
    if (code === 1000) return this.end('closed');
    if (FATAL.has(code) || (fault && !fault.retryable)) return this.end('failed', { code, text: fault?.message });
    let answer = { why: code === 1001 ? 'drain' : 'lost', waitMs: fault?.retry_after_ms };
    if (fault?.retry_after_ms || code === 1013) answer.why = 'full';
    if (!opened) answer = await this.ask(); // a page cannot see the status of a refused handshake
    this.unexplained = !opened && answer.why === 'lost' ? this.unexplained + 1 : 0;
    if (this.unexplained === SHUT_OUT && !this.everLive) answer = { why: 'failed', code: 'shut' };
    if (this.over) return undefined; // stopped while asking
    if (answer.why === 'failed') return this.end('failed', answer);
    return this.wait(answer);
  }

  wait({ why, waitMs }) {
    if (!this.everLive) this.settled = this.first + this.frames.length; // nobody was told that it listens yet
    this.drop(Math.max(this.first, this.settled));
    const backOff = Math.min(15_000, 500 * 2 ** this.tries) * (0.7 + 0.6 * Math.random());
    this.tries += 1;
    const ms = waitMs || backOff;
    this.timer = setTimeout(() => this.dial(), ms);
    this.tell.state(why, { ms, everLive: this.everLive });
  }
}
