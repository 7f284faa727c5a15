// Everything the page says about what goes wrong: what happened, and what the reader can do.

// Errors of the browser by name: no sound could be had.
export const ADVICE = {
  NotAllowedError: 'The microphone is blocked. Allow it beside the address bar, then press Start again.',
  NotFoundError: 'No microphone was found. Plug one in and press Start, or play a sample.',
  NotReadableError: 'The microphone cannot be read; another program may be using it. Close that, then press Start.',
  InsecureError: 'A browser hands sound only to pages opened by https or from localhost. Open this page that way.',
  EncodingError: 'This browser cannot decode the sample.',
  SyntaxError: 'The key has a character that a browser cannot send. Look at Settings.',
};

// Ends: of the source by reason, of the socket by its close code or by what it was refused for (docs/protocol.md).
export const ENDED = {
  played: 'The sample is over.',
  unplugged: 'The microphone was unplugged. Plug it in and press Start.',
  shut: 'The server answers, but lets this page open no stream. Open the page by the server’s own address, or allow this '
    + 'one (spec.serving.allowedOrigins).',
  unauthenticated: 'The server asks for a key. Enter one under Settings, then press Start again.',
  unknown_key: 'The server does not know this key. Look at Settings, then press Start again.',
  class_not_allowed: 'This priority needs another key. Choose a lower one under Settings, then press Start again.',
  audio_seconds: 'All the sound that this key may send in a day has been sent. The next day begins at midnight UTC.',
  1008: 'The server refuses this page or its key. Look at Settings, then press Start again.',
  4008: 'The server ended the session because no sound arrived. Press Start to go on.',
};

// Waiting for a connection: why, then what becomes of words spoken meanwhile.
export const WAITING = {
  full: 'The server is full.',
  quota: 'As many streams are open with this key as may be.',
  drain: 'The server is shutting down.',
  lost: 'The connection was lost.',
  unreachable: 'The server cannot be reached.',
  kept: 'Up to 90 s of what you say is kept and captioned then; older words may be lost.',
  deaf: 'What you say until then is not captioned.',
};

export const WARNINGS = {
  degraded: 'The server is busy: captions come less often for a while.',
  recovered: 'The server is back at full quality.',
  lagging: 'The server is behind: captions come later than usual.',
  audio_gap: 'Some sound was lost on the server; a few words may be missing.',
  clipped: 'The sound is too loud and clipped. Move back, or turn the microphone down.',
  idle: 'No sound arrives; the server will end the session soon.',
  session_expiring: 'The server will end this session soon; the page then starts a new one.',
  draining: 'The server is shutting down; the page then connects to another one.',
};
