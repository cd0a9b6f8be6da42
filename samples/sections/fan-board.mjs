// A vendor's own error section, described in one file: the fan controller of a made-up board.
//
//   apei decode samples/sections/fan-board.hex --section fanBoard --sections samples/sections/fan-board.mjs
//
// A layout says each field once, in wire order; decoding, encoding, JSON, byte map and schema follow from it.
import { bits, list, oneOf, ref, sequence, struct, text, u8, u16, valueLabel } from "apei/layout";

const FAULT = { stalled: 1, tooSlow: [2, "below its lowest speed"], sensorLost: 3 };

const Reading = struct("Fan Reading", 4, "Fan board manual 1.2, table 4", {
  fan: u8("Fan number"),
  fault: oneOf(1, "What is wrong with it", { none: 0, ...FAULT }),
  speed: u16("Revolutions per minute"),
});

const FanBoard = sequence("Fan Board Error", "Fan board manual 1.2, table 3", {
  // A bit vouches for the field of the same name.
  validation: bits(1, "Which fields hold data", { board: 0, readings: 1 }),
  count: u8("Number of readings"),
  board: text(6, "Name of the board"),
  readings: list(Reading, "One reading a fan", ref("count")),
});

export const fanBoard = {
  guids: ["7f6a2c9e-31d8-4b57-9c0e-5d1a8e44b210"],
  name: "fanBoard",
  title: "Fan board error",
  layout: FanBoard,
  // What broke where, in one line; only what the validation bits vouch for.
  summary({ validation = {}, board, readings = [] }) {
    const faults = readings.filter(({ fault }) => fault !== "none").map(({ fan, fault, speed }) => `fan ${fan} ${valueLabel(FAULT, fault)} at ${speed} rpm`);
    return [validation.readings && faults.join(", "), validation.board && `board '${board}'`].filter(Boolean).join(", ");
  },
};
