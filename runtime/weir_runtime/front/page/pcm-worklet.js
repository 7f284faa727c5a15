// Sound at the browser's own rate in, frames of 80 ms at 16 kHz (PCM16, mono) out: a windowed-sinc polyphase filter.
// AudioContext({ sampleRate: 16000 }) would be shorter, but it is less exact and Firefox refuses it for a microphone.
const RATE = 16000;
const FRAME = RATE * 0.08; // one frame of the server's encoder
const WING = 16; // length of the filter on each side, in output samples
const QUANTUM = 2048; // more samples than a browser hands over at once

const gcd = (a, b) => (b ? gcd(b, a % b) : a);
const blackman = (x) => 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

// The filter for an output sample that lies `shift` (0 to 1) of an input sample behind the middle tap.
function taps(count, cut, shift) {
  if (count === 1) return Float32Array.of(1);
  const middle = count / 2 - 1;
  const row = Float32Array.from({ length: count }, (_, k) => {
    const x = k - middle - shift;
    return Math.abs(x) < count / 2 ? sinc(cut * x) * blackman(x / (count / 2)) : 0;
  });
  const sum = row.reduce((a, b) => a + b);
  return row.map((v) => v / sum);
}

class Pcm16 extends AudioWorkletProcessor {
  constructor() {
    super();
    const rate = Math.round(sampleRate), common = gcd(RATE, rate);
    this.up = RATE / common;
    this.down = rate / common;
    const cut = Math.min(1, RATE / rate) * 0.94; // leaves the filter room to fall before half the lower rate
    this.count = rate === RATE ? 1 : 2 * Math.ceil(WING / cut);
    this.bank = Array.from({ length: this.up }, (_, i) => taps(this.count, cut, i / this.up));
    this.phase = 0; // which row of the bank comes next
    this.input = new Float32Array(this.count + QUANTUM);
    this.have = Math.max(0, this.count / 2 - 1); // silence under the left wing: output 0 lies on input 0
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.port.onmessage = () => {
      this.send();
      this.port.postMessage(null); // nothing follows
    };
  }

  send() {
    if (!this.filled) return;
    const frame = this.frame.slice(0, this.filled);
    this.filled = 0;
    this.port.postMessage(frame.buffer, [frame.buffer]);
  }

  process([[samples]]) {
    if (!samples) return true; // nothing is connected
    this.input.set(samples, this.have);
    this.have += samples.length;
    let at = 0;
    while (at + this.count <= this.have) {
      const row = this.bank[this.phase];
      let value = 0;
      for (let k = 0; k < this.count; k++) value += row[k] * this.input[at + k];
      this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
      if (this.filled === FRAME) this.send();
      this.phase += this.down;
      at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    this.input.copyWithin(0, at, this.have);
    this.have -= at;
    return true;
  }
}
registerProcessor('pcm16', Pcm16);
