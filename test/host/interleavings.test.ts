import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { acknowledge, peek, take } from "../../src/guest/ghes.ts";
import type { Locate, RecordingPolicy } from "../../src/host/error-source.ts";
import { type AccessSize, type GuestMemory, toLittleEndian } from "../../src/machine/memory.ts";
import { CASES, LOAD_ORDERS, memoryOrderDocument, QUEUE, run, type Setup, type Take, takeAsLinux } from "./protocol.ts";

/** Buffer the stores of an activity and let them out in another order. */
const reordered =
  (order: (stores: (() => void)[]) => (() => void)[]) =>
  (inner: GuestMemory): GuestMemory => {
    const stores: (() => void)[] = [];
    return {
      read: (address, length) => inner.read(address, length),
      readWord: (address, size) => inner.readWord(address, size),
      write: (address, bytes) => void stores.push(() => inner.write(address, bytes)),
      writeWord: (address, size, value) => {
        stores.push(() => inner.writeWord(address, size, value));
        // The status is the last store of a record, so with it the record is complete.
        if (size === 4 && value !== 0n) for (const store of order(stores.splice(0))) store();
      },
    };
  };

describe("every interleaving of two sources, three errors and a guest that may look at any moment", () => {
  test.each(CASES)("%s: nothing torn, lost or doubled, and never stuck", (_name, setup) => {
    const { states, violation, stuck } = run(setup);
    expect({ violation, stuck }).toEqual({ violation: undefined, stuck: false });
    expect(states).toBeGreaterThan(80);
  });
});

describe("a host whose stores become visible out of order, as on arm64", () => {
  const weakly = (setup: Setup) => {
    const { violation, stuck } = run({ chunk: 64, ...setup, weak: true });
    return violation ?? (stuck ? "stuck" : "nothing");
  };
  test.each(CASES)("%s: the words that order the bytes are enough", (_name, setup) => expect(weakly(setup)).toBe("nothing"));
  test("there is more to see than where stores stay in order", () => {
    expect(run({ weak: true, chunk: 64 }).states).toBeGreaterThan(run({ chunk: 64 }).states);
  });

  /** Words of a size as plain stores: no barrier, no release. */
  const plain =
    (which: (size: AccessSize, value: bigint) => boolean) =>
    (inner: GuestMemory): GuestMemory => ({
      read: (address, length) => inner.read(address, length),
      write: (address, bytes) => inner.write(address, bytes),
      readWord: (address, size) => inner.readWord(address, size),
      writeWord: (address, size, value) => (which(size, value) ? inner.write(address, toLittleEndian(value, size)) : inner.writeWord(address, size, value)),
    });
  test("block status last, but without a barrier before it", () => {
    const hostMemory = plain((size, value) => size === 4 && value !== 0n);
    expect(weakly({ hostMemory })).toBe("torn record");
    // Where stores stay in order the same program is right: it takes this model to find the fault.
    expect(run({ hostMemory })).toMatchObject({ violation: undefined, stuck: false });
  });
  test("the acknowledgement taken back without a barrier: the release of the status makes up for it", () =>
    expect(weakly({ hostMemory: plain((size) => size === 8), errors: [0, 0, 0] })).toBe("nothing"));
  test("neither has one", () => expect(weakly({ hostMemory: plain(() => true) })).not.toBe("nothing"));
});

describe("a guest whose loads are done out of order, as on arm64", () => {
  test.each(LOAD_ORDERS)("$guest; it looks $looks: $finds", ({ setup, finds, errors }) => {
    // In words of 8 bytes, as the kernel copies, and with three errors: the long check.
    const { violation, stuck } = run({ chunk: finds === "nothing" ? 16 : 8, ...setup, early: true, errors: errors.slice(0, 2) });
    expect(violation ?? (stuck ? "stuck" : "nothing")).toBe(finds);
  });
  test.each(CASES)("%s: acquiring the status is enough, with the host's stores out of order too", (_name, setup) => {
    const { violation, stuck } = run({ ...setup, early: true, weak: true, chunk: 64 });
    expect(violation ?? (stuck ? "stuck" : "nothing")).toBe("nothing");
  });
  test("records of different lengths under one status", () =>
    expect(run({ early: true, chunk: 16, errors: [0, 0, 0], sizes: [8, 24, 16] })).toMatchObject({ violation: undefined, stuck: false }));
  test("where loads stay in order Linux's order is right: it takes this model to find the fault", () =>
    expect(run({ take: takeAsLinux({ afterHeader: true, afterBlock: true }), chunk: 16, errors: [1, 0], bells: "shared" })).toMatchObject({
      violation: undefined,
      stuck: false,
    }));
  test("what guests need is written down (vitest -u writes it)", async () => {
    await expect(memoryOrderDocument()).toMatchFileSnapshot(fileURLToPath(new URL("../../docs/memory-order.md", import.meta.url)));
  });
});

describe("what the exploration finds when the order is wrong", () => {
  const broken = (setup: Setup) => {
    const { violation, stuck } = run(setup);
    return violation ?? (stuck ? "stuck" : "nothing");
  };
  test("the reordering itself changes nothing", () => expect(broken({ hostMemory: reordered((stores) => stores) })).toBe("nothing"));
  test("block status before the body", () => expect(broken({ hostMemory: reordered(([ack, ...rest]) => [ack!, ...rest.reverse()]) })).toBe("torn record"));
  test("first byte to last, as QEMU stores, under a guest that polls", () => expect(broken({ policy: { ...QUEUE, stores: "ascending" } })).toBe("torn record"));
  test("acknowledgement taken back after the record is there", () =>
    expect(broken({ hostMemory: reordered(([ack, ...rest]) => [...rest, ack!]) })).toBe("stuck"));
  test("a host that does not wait for the acknowledgement", () => {
    const always: RecordingPolicy = { ...QUEUE, acknowledgement: "nonzero" };
    const forgetful = (memory: GuestMemory): GuestMemory => ({
      read: (address, length) => memory.read(address, length),
      write: (address, bytes) => memory.write(address, bytes),
      readWord: (address, size) => (size === 8 ? 1n : memory.readWord(address, size)),
      writeWord: (address, size, value) => memory.writeWord(address, size, value),
    });
    expect(broken({ policy: always, hostMemory: forgetful })).toBe("torn record");
  });
  test("a guest that acknowledges before it clears the status", () => {
    const eager: Take = (spaces, device) => {
      const report = peek(spaces, device);
      if (report.found === "nothing") return report;
      acknowledge(spaces, device);
      spaces.memory.writeWord(report.address, 4, 0n);
      return report;
    };
    expect(broken({ take: eager })).toBe("stuck");
  });
  test("a guest that acknowledges before it reads", () => {
    const early: Take = (spaces, device) => {
      acknowledge(spaces, device);
      return take(spaces, device);
    };
    expect(broken({ take: early, errors: [0, 0, 0] })).not.toBe("nothing");
  });
  test("taking back one source's bit of a shared word by read-modify-write", () => {
    const alone =
      (locate: Locate): Locate =>
      (id) => {
        const { location } = locate(id);
        const { shared: _shared, ...acknowledge } = location!.acknowledge!;
        return { location: { ...location!, acknowledge } };
      };
    expect(broken({ shared: true, locate: alone })).not.toBe("nothing");
  });
});
