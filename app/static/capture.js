// Runs beside the page, in the thread of the sound: hands the microphone's samples on in pieces.
const PIECES_PER_SECOND = 20; // often enough for a meter that follows the voice

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.begin();
  }
  begin() {
    this.piece = new Float32Array(Math.round(sampleRate / PIECES_PER_SECOND));
    this.filled = 0;
  }
  process([[sound]]) {
    for (let from = 0; sound && from < sound.length;) {
      const part = sound.subarray(from, from + this.piece.length - this.filled);
      this.piece.set(part, this.filled);
      this.filled += part.length;
      from += part.length;
      if (this.filled < this.piece.length) continue;
      this.port.postMessage(this.piece, [this.piece.buffer]); // given away, not copied
      this.begin();
    }
    return true;
  }
}

registerProcessor("capture", Capture);
