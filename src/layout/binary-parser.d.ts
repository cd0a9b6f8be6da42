// binary-parser 2.3.0 ships types that its own `exports` map hides.
declare module "binary-parser" {
  export { Parser } from "binary-parser/dist/binary_parser.js";
}
