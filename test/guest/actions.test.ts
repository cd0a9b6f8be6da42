import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ErstEntry } from "../../src/acpi/action-entry.ts";
import { ActionError, ActionMachine } from "../../src/guest/actions.ts";
import { decode, encode } from "../../src/layout/index.ts";
import { type AccessSize, SparseMemory } from "../../src/machine/memory.ts";

const A = 0x1000n;
const B = 0x1008n;
type Step = readonly [instruction: ErstEntry["instruction"], address?: bigint, value?: bigint, more?: { mask?: bigint; offset?: number; preserve?: boolean }];

/** A program of one action over two words. */
function machine(steps: readonly Step[], words: readonly [bigint, bigint] = [0n, 0n]) {
  const memory = new SparseMemory([{ start: 0n, length: 0x10000n }]);
  memory.writeWord(A, 8, words[0]);
  memory.writeWord(B, 8, words[1]);
  const entries = steps.map(([instruction, address = A, value = 0n, { mask = 0xffff_ffff_ffff_ffffn, offset = 0, preserve = false } = {}]) =>
    decode(
      ErstEntry,
      encode(ErstEntry, {
        action: "executeOperation",
        instruction,
        flags: preserve ? { preserveRegister: true } : {},
        registerRegion: { address, registerBitWidth: 64 - offset, registerBitOffset: offset },
        value,
        mask,
      }),
    ),
  );
  const run = (input?: bigint) => new ActionMachine({ memory }, entries, "erst").run("executeOperation", input);
  return { run, words: () => [memory.readWord(A, 8), memory.readWord(B, 8)], memory };
}

describe("instructions (Linux apei_exec and erst.c behaviour)", () => {
  test("read: shifted by the bit offset, then masked", () => {
    expect(machine([["readRegister", A, 0n, { offset: 8, mask: 0xffn }]], [0x123456n, 0n]).run()).toBe(0x34n);
    expect(machine([["readRegisterValue", A, 0x34n, { offset: 8, mask: 0xffn }]], [0x123456n, 0n]).run()).toBe(1n);
    expect(machine([["readRegisterValue", A, 0x35n, { offset: 8, mask: 0xffn }]], [0x123456n, 0n]).run()).toBe(0n);
  });
  test("write: masked, shifted; other bits are kept only when asked for", () => {
    const plain = machine([["writeRegister", A, 0n, { offset: 8, mask: 0xffn }]], [0xffff_ffffn, 0n]);
    plain.run(0x1abn);
    expect(plain.words()[0]).toBe(0xab00n);
    const kept = machine([["writeRegisterValue", A, 0x1abn, { offset: 8, mask: 0xffn, preserve: true }]], [0xffff_ffffn, 0n]);
    kept.run();
    expect(kept.words()[0]).toBe(0xffff_abffn);
  });
  test("variables, sums and stores", () => {
    const sums = machine([["loadVar1", A], ["loadVar2", B], ["add"], ["storeVar1", A], ["subtract"], ["subtract"], ["storeVar1", B]], [40n, 2n]);
    sums.run();
    expect(sums.words()).toEqual([42n, 38n]);
    const values = machine(
      [
        ["addValue", A],
        ["subtractValue", B],
      ],
      [40n, 40n],
    );
    values.run(5n);
    expect(values.words()).toEqual([45n, 35n]);
  });
  test("skipping and jumping count the entries of the action", () => {
    const skips = machine(
      [
        ["skipNextInstructionIfTrue", A],
        ["writeRegisterValue", B, 1n],
        ["writeRegisterValue", A, 9n],
      ],
      [7n, 0n],
    );
    skips.run(7n);
    expect(skips.words()).toEqual([9n, 0n]);
    const jumps = machine([["goto"], ["writeRegisterValue", A, 1n], ["writeRegisterValue", B, 2n]]);
    jumps.run(2n);
    expect(jumps.words()).toEqual([0n, 2n]);
  });
  test("moving data between two bases", () => {
    const moves = machine(
      [
        ["setSourceAddressBase", A],
        ["setDestinationAddressBase", B],
        ["loadVar2", 0x1010n],
        ["moveData", 0x1018n],
      ],
      [0x2000n, 0x3000n],
    );
    moves.memory.write(0x2004n, Uint8Array.of(1, 2, 3, 4, 5));
    moves.memory.writeWord(0x1010n, 8, 3n);
    moves.memory.writeWord(0x1018n, 8, 4n);
    moves.run();
    expect(moves.memory.read(0x3004n, 5)).toEqual(Uint8Array.of(1, 2, 3, 0, 0));
  });
});

describe("programs that cannot be run", () => {
  test.each<[string, () => unknown, string]>([
    ["an unknown instruction", () => machine([[0x13]]).run(), "Invalid action table, unknown instruction type: 19"],
    ["a register that cannot be used", () => machine([["readRegister", 0n]]).run(), "cannot be used"],
    ["no entry", () => machine([]).run(), "there is no entry for executeOperation"],
    ["a loop", () => machine([["goto"]]).run(0n), "does not end"],
    [
      "a move of too much",
      () =>
        machine(
          [
            ["loadVar2", A],
            ["moveData", B],
          ],
          [1n << 40n, 0n],
        ).run(),
      "too many to move",
    ],
    ["waiting for ever", () => machine([["stallWhileTrue", A]]).run(0n), "never changed"],
  ])("%s", (_name, run, message) => {
    expect(run).toThrow(ActionError);
    expect(run).toThrow(message);
  });
  test("an action that may be missing", () => {
    expect(new ActionMachine<ErstEntry>({ memory: new SparseMemory([]) }, [], "erst").run("endOperation", 3n, true)).toBe(3n);
  });
  test("random programs end, in ActionError or MemoryFault at worst", () => {
    const step = fc.tuple(fc.nat(0x14), fc.oneof(fc.constantFrom(A, B, 0x1010n), fc.bigInt(0n, 0x12000n)), fc.bigInt(0n, 0x2000n));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.bigInt(0n, 0x20n), (steps, input) => {
        const { memory, run } = machine(steps as unknown as readonly Step[]);
        for (let i = 0n; i < 8n; i++) memory.writeWord(A + 8n * i, 8 as AccessSize, i * 0x300n);
        try {
          run(input);
        } catch (error) {
          expect((error as Error).name).toMatch(/^(ActionError|MemoryFault)$/);
        }
      }),
      { numRuns: 300, seed: 9 },
    );
  });
});
