// A source of 80 ms frames (PCM16, 16 kHz, mono): the microphone, or a recording that is also played aloud.
// Both go through the same worklet. Without a `url` the source is the microphone.

// Made for telephony, all three harm recognition: with them on, the signal keeps a third of its power.
const UNTOUCHED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };

async function microphone(context, onEnd) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: UNTOUCHED });
  const [track] = stream.getAudioTracks();
  track.onended = () => onEnd('unplugged');
  return { node: context.createMediaStreamSource(stream), begin() {}, release: () => track.stop() };
}

async function recording(context, url, onEnd) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the recording could not be loaded (${response.status})`);
  const buffer = await context.decodeAudioData(await response.arrayBuffer());
  const node = new AudioBufferSourceNode(context, { buffer });
  node.connect(context.destination);
  node.onended = () => onEnd('played');
  let begun = false; // a recording plays once, also when the connection is made again
  const begin = () => { if (!begun) node.start(); begun = true; };
  return { node, begin, release: () => { node.onended = null; } };
}

export async function openAudio({ url, onFrame, onEnd }) {
  if (!isSecureContext) throw new DOMException('', 'InsecureError'); // neither a microphone nor worklets
  const context = new AudioContext(); // at the device's own rate
  const running = context.resume(); // now, inside the click: Safari asks for that
  try {
    // Before the microphone: loading it afterwards would lose the first word.
    await context.audioWorklet.addModule(new URL('pcm-worklet.js', import.meta.url));
    const source = url ? await recording(context, url, onEnd) : await microphone(context, onEnd);
    const worklet = new AudioWorkletNode(context, 'pcm16', { channelCount: 1, channelCountMode: 'explicit' });
    let flushed;
    worklet.port.onmessage = ({ data }) => (data ? onFrame(data) : flushed());
    worklet.connect(context.destination); // silent, but some browsers only run what ends at the speakers
    source.node.connect(worklet);
    await running;
    return {
      begin: source.begin,
      async stop() {
        source.release();
        source.node.disconnect();
        await new Promise((resolve) => {
          flushed = resolve;
          setTimeout(resolve, 200); // a suspended context never answers
          worklet.port.postMessage('flush');
        });
        await context.close();
      },
    };
  } catch (error) {
    context.close();
    throw error;
  }
}

// Loudness of a frame: −60 dB of full scale and less is 0, full scale is 1.
export function level(frame) {
  const samples = new Int16Array(frame);
  const power = samples.reduce((sum, v) => sum + v * v, 0) / samples.length;
  return Math.max(0, Math.min(1, 1 + Math.log10(Math.sqrt(power) / 32768 + 1e-9) / 3));
}
