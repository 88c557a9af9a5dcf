import { create } from "qrcode/lib/core/qrcode.js";

const SVG = "http://www.w3.org/2000/svg";
/** Light modules around the code, without which some cameras do not find it (ISO/IEC 18004). */
const QUIET_ZONE = 4;

/** `text` as a QR code, dark on light whatever the page's colours are. `label` is for who cannot see it. */
export function drawQrCode(text: string, label: string): SVGSVGElement {
  const { modules } = create(text, { errorCorrectionLevel: "L" });
  const { size } = modules;
  const whole = size + 2 * QUIET_ZONE;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${whole} ${whole}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  svg.setAttribute("shape-rendering", "crispEdges");
  const ground = document.createElementNS(SVG, "rect");
  ground.setAttribute("width", String(whole));
  ground.setAttribute("height", String(whole));
  ground.setAttribute("fill", "#fff");
  const dark = document.createElementNS(SVG, "path");
  dark.setAttribute("fill", "#000");
  dark.setAttribute("d", outlineOf(modules, size));
  svg.append(ground, dark);
  return svg;
}

/** Each run of dark modules in a row is one rectangle. */
function outlineOf(modules: { get(row: number, column: number): number }, size: number): string {
  let path = "";
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      let run = 0;
      while (column + run < size && modules.get(row, column + run)) run++;
      if (run === 0) continue;
      path += `M${column + QUIET_ZONE} ${row + QUIET_ZONE}h${run}v1h-${run}z`;
      column += run;
    }
  }
  return path;
}
