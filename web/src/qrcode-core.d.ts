/** The part of qrcode that computes and draws nothing; its published types cover the whole alone. */
declare module "qrcode/lib/core/qrcode.js" {
  export function create(
    text: string,
    options: { errorCorrectionLevel: "L" | "M" | "Q" | "H" },
  ): { modules: { size: number; get(row: number, column: number): number } };
}
