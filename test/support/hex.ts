/** Annotated hex: everything after `#` is commentary. */
export const hex = (strings: TemplateStringsArray): Uint8Array =>
  Uint8Array.from(strings[0]!.replace(/#.*$/gm, "").match(/[0-9a-f]{2}/gi) ?? [], (pair) => Number.parseInt(pair, 16));
