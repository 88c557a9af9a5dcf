/** Where pictures come from. */
export interface Source {
  /** Draws the picture of now. */
  draw(context: CanvasRenderingContext2D): void;
  stop(): void;
}

/** Colours of the bars; a test compares them at the other end. */
const bars = ["#c8c8c8", "#c8c800", "#00c8c8", "#00c800", "#c800c8", "#c80000", "#0000c8"];

/** A picture that moves without a camera: bars, a clock, and something that goes round. */
export function testPattern(): Source {
  const begin = Date.now();
  return {
    draw(context) {
      const { width, height } = context.canvas;
      const now = Date.now();
      context.fillStyle = "#14201b";
      context.fillRect(0, 0, width, height);
      bars.forEach((colour, at) => {
        context.fillStyle = colour;
        context.fillRect((at * width) / bars.length, 0, width / bars.length, height * 0.3);
      });
      const turn = ((now - begin) / 4_000) * 2 * Math.PI;
      const [x, y] = [width * 0.16, height * 0.66];
      context.strokeStyle = "#7fd1b5";
      context.lineWidth = 10;
      context.beginPath();
      context.arc(x, y, height * 0.2, turn, turn + 4.2);
      context.stroke();
      context.fillStyle = "#e8ece9";
      context.textBaseline = "middle";
      context.font = "600 56px ui-monospace, monospace";
      context.fillText(new Date(now).toISOString().slice(11, 23), width * 0.34, height * 0.6);
      context.font = "24px system-ui, sans-serif";
      context.fillStyle = "#a3aea8";
      context.fillText("Postern test pattern, time in UTC", width * 0.345, height * 0.76);
    },
    stop() {},
  };
}

/** Why there is no camera, for people. */
export class CameraError extends Error {}

/** Rejects with `CameraError`. */
export async function camera(): Promise<Source> {
  if (!navigator.mediaDevices) {
    throw new CameraError("Browsers give a camera to pages over HTTPS only. The test pattern works here.");
  }
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360, frameRate: 30 } });
  } catch (error) {
    throw new CameraError(cameraText((error as DOMException).name));
  }
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  await video.play();
  return {
    draw(context) {
      const { width, height } = context.canvas;
      const scale = Math.min(width / video.videoWidth, height / video.videoHeight);
      const [w, h] = [video.videoWidth * scale, video.videoHeight * scale];
      context.fillStyle = "#000";
      context.fillRect(0, 0, width, height);
      context.drawImage(video, (width - w) / 2, (height - h) / 2, w, h);
    },
    stop() {
      for (const track of stream.getTracks()) track.stop();
    },
  };
}

function cameraText(name: string): string {
  if (name === "NotAllowedError") {
    return "The browser did not allow the camera. Allow it beside the address, then try again.";
  }
  if (name === "NotFoundError") return "No camera was found. The test pattern needs none.";
  if (name === "NotReadableError") return "The camera is in use by another program.";
  return "The camera could not be opened.";
}
