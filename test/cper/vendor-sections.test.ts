import { describe, expect, test } from "vitest";
import { cperFormat } from "../../src/cper/record-codec.ts";
import { AmdGpuCrash, AmdGpuRuntime } from "../../src/cper/sections/amd-gpu.ts";
import { AmpereError, AmpereRas } from "../../src/cper/sections/ampere.ts";
import { Hip08PcieLocal, Hip08Type1, Hip08Type2, HisiliconCommon } from "../../src/cper/sections/hisilicon.ts";
import { JaguarMicroCmn, JaguarMicroCommon, JaguarMicroGic, JaguarMicroSmmu, JaguarMicroSram } from "../../src/cper/sections/jaguar-micro.ts";
import { LinuxCompressedMessages, LinuxMachineCheck, LinuxMessages } from "../../src/cper/sections/linux-pstore.ts";
import { Gb10 } from "../../src/cper/sections/mediatek.ts";
import { NvidiaError, NvidiaEvent } from "../../src/cper/sections/nvidia.ts";
import { YitianDdr } from "../../src/cper/sections/yitian.ts";
import { type Finding, parse, spans } from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";
import { lawsOf } from "../support/laws.ts";
import { read, typeOf } from "../support/sections.ts";
import { describeShared, shared, sharedText } from "../support/shared.ts";

lawsOf(
  [
    ["NVIDIA error", NvidiaError],
    ["NVIDIA event", NvidiaEvent],
    ["Ampere error", AmpereError],
    ["Ampere RAS error", AmpereRas],
    ["HiSilicon", HisiliconCommon],
    ["HIP08 type 1", Hip08Type1],
    ["HIP08 type 2", Hip08Type2],
    ["HIP08 PCIe local", Hip08PcieLocal],
    ["AMD GPU runtime", AmdGpuRuntime],
    ["AMD GPU crash dump", AmdGpuCrash],
    ["Yitian", YitianDdr],
    ["Jaguar Micro", JaguarMicroCommon],
    ["Jaguar Micro SMMU", JaguarMicroSmmu],
    ["Jaguar Micro SRAM", JaguarMicroSram],
    ["Jaguar Micro CMN", JaguarMicroCmn],
    ["Jaguar Micro GIC", JaguarMicroGic],
    ["Linux messages", LinuxMessages],
    ["Linux compressed messages", LinuxCompressedMessages],
    ["Linux machine check", LinuxMachineCheck],
    ["GB10", Gb10],
  ],
  { runs: 6 },
);

/** `size` bytes with pieces laid in at their offsets. */
function laid(size: number, pieces: Readonly<Record<number, Uint8Array>>): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const [at, piece] of Object.entries(pieces)) bytes.set(piece, Number(at));
  return bytes;
}

const offsetsOf = (layout: { readonly kind: "struct" | "sequence" }, value?: object) =>
  Object.fromEntries(spans(layout, value).map(({ path, offset }) => [path, offset]));

describe("sizes and offsets of the sources", () => {
  test.each([
    [Hip08Type1, 40],
    [Hip08Type2, 60],
    [Hip08PcieLocal, 152],
    [YitianDdr, 128],
    [AmpereError, 8],
  ])("%#", (layout, size) => expect(layout.size).toBe(size));
  test("fields lie where the sources put them", () => {
    expect(offsetsOf(Hip08Type1)).toMatchObject({ severity: 10, misc0: 12, misc4: 28, address: 32 });
    expect(offsetsOf(Hip08PcieLocal)).toMatchObject({ version: 8, severity: 15, errorType: 16, misc0: 20, misc32: 148 });
    for (const [layout, tail] of [
      [JaguarMicroCommon, 76],
      [JaguarMicroSmmu, 36],
      [JaguarMicroSram, 32],
      [JaguarMicroCmn, 128],
      [JaguarMicroGic, 80],
    ] as const)
      expect(offsetsOf(layout, parse(layout as typeof JaguarMicroCommon, new Uint8Array(tail + 4)))).toMatchObject({ severity: 12, extraBytes: tail });
  });
});

describe("golden bodies", () => {
  test("NVIDIA: firmware leaves room for one register more", () => {
    const bytes = laid(32 + 32, {
      0: hex`43 43 50 4c 45 58 53 43 46`, // CCPLEXSCF
      20: hex`02 01 01 00`, // corrected, socket 1, one register
      24: hex`00 00 20 18 00 00 00 00`,
      32: hex`10 00 20 18 00 00 00 00  06 02 00 4e 00 00 00 00`,
    });
    const { value, summary, lines } = read("nvidia", bytes);
    expect(value["registers"]).toEqual([{ address: 0x18200010n, value: 0x4e000206n }]);
    expect(value["spare"]).toEqual(new Uint8Array(16));
    expect(summary).toBe("CCPLEXSCF, corrected, socket 1, error type 0x0, instance 0x0");
    expect(lines).toContain("register 0x18200010: 0x4e000206");
  });
  test("NVIDIA: firmware error in place of the registers", () => {
    const bytes = laid(32 + 88, { 0: hex`46 57 45 52 52 4f 52`, 20: hex`01`, 32: hex`4d 42 31`, 40: hex`2a`, 80: hex`03 00 00 00 07 00 00 00` });
    const { lines } = read("nvidia", bytes);
    expect(lines).toContain("firmware: MB1");
    expect(lines).toContain("checkpoint: 0x2a");
    expect(lines).toContain("channel 3: 7 bad pages");
  });

  test("Ampere: the top bits of the type choose the payload", () => {
    const node = laid(48, { 0: hex`01 02 03 40`, 4: hex`0d 00 00 00`, 8: hex`00 50 34 12` }); // memory controller, instance 3 of socket 1
    expect(read("ampereRas", node).summary).toBe("memory controller, subtype 2, socket 1, instance 3, status 0xd, address 0x12345000");
    const aer = read("ampereRas", laid(48, { 0: hex`47 00 00 00`, 4: hex`00 40 00 00`, 16: hex`01 00 00 00`, 32: hex`09 00 00 00` }));
    expect(aer.value["payload"]).toMatchObject({
      uncorrectableStatus: { completionTimeout: true },
      correctableStatus: { receiverError: true },
      errorSource: 9,
    });
    expect(read("ampereRas", laid(48, { 0: hex`88`, 12: hex`44 33 22 11` })).value["payload"]).toMatchObject({ correctableAddress: 0x11223344 });
    expect(read("ampereRas", laid(48, { 0: hex`cd`, 8: hex`01` })).value["payload"]).toMatchObject({ firmwareSpecific1: 1n });
  });

  test("HiSilicon: common section with registers", () => {
    const bytes = laid(40, {
      0: hex`a3 0c 00 00`, // SoC, socket, module, core, PCIe, severity
      4: hex`01 01 02 00 00 00 10 00 05 00`, // version 1, Kunpeng 920, socket 2, module 16, core 5
      16: hex`01 02 00 00 17`,
      24: hex`02`,
      28: hex`08 00 00 00  11 11 11 11  22 22 22 22`,
    });
    const { value, summary } = read("hisilicon", bytes);
    expect(value["registers"]).toEqual([{ value: 0x11111111 }, { value: 0x22222222 }]);
    expect(summary).toBe("corrected, SoC Kunpeng 920, socket 2, module DDRC, core 5, PCIe device 0000:17:02.1");
  });
  test("HiSilicon: HIP08", () => {
    expect(read("hip08Type1", laid(40, { 0: hex`2a 08 00 00`, 6: hex`01`, 8: hex`0d`, 10: hex`01`, 32: hex`00 50 34 12` })).summary).toBe(
      "fatal, socket 1, module GIC, address 0x12345000",
    );
    expect(read("hip08Type2", laid(60, { 0: hex`28 01 00 00`, 8: hex`04`, 28: hex`01` })).value).toMatchObject({ moduleId: "ddrc", status: 1n });
    const local = read("hip08PcieLocal", laid(152, { 0: hex`50 03 00 00 00 02 00 00`, 12: hex`02`, 14: hex`03`, 15: hex`02`, 148: hex`2a` }));
    expect(local.value).toMatchObject({ validation: { submoduleId: true, portId: true, severity: true, misc0: true, misc32: true }, misc32: 42 });
    expect(local.summary).toBe("corrected, submodule MAC, port 3");
  });

  test("AMD GPU: a threshold record of the driver", () => {
    // Linux amdgpu_cper.c: STATUS b0000000_00000137, CONFIG 1ff_00000002, IPID high word 0x096.
    const bytes = laid(272, {
      0: hex`07 01 00 00 00 00 00 00`, // both fields, one information, one context
      64: hex`78 0c ac 32 23 26 f6 48 81 a2 ac 69 17 80 55 1d`,
      128: hex`01 00 80 00`,
      152: hex`37 01 00 00 00 00 00 b0`,
      176: hex`02 00 00 00 ff 01 00 00`,
      184: hex`00 00 00 00 96 00 00 00`,
    });
    const { value, summary } = read("amdGpuRuntime", bytes);
    expect((value["contexts"] as { registers: object }[])[0]?.registers).toMatchObject({
      status: 0xb000000000000137n,
      configuration: 0x1ff00000002n,
      ipId: 0x9600000000n,
    });
    expect(summary).toBe(
      "uncorrected, containable, DRAM ECC error (memory hierarchy error, data read, data, level 3 or generic), unified memory controller, channel 0",
    );
  });
  test("AMD GPU: crash dump, fatal and boot", () => {
    expect(read("amdGpuCrash", laid(176, { 128: hex`01 00 20 00`, 144: hex`00 00 00 00 00 00 00 b2`, 160: hex`00 00 00 00 ff 00 01 00` })).summary).toBe(
      "fatal, high SRAM ECC or parity error (no error), platform security processor",
    );
    const boot = read("amdGpuCrash", laid(208, { 128: hex`09 00 40 00`, 144: hex`2a` }));
    expect(boot.value["registers"]).toMatchObject({ messages: [42n, 0n, 0n, 0n, 0n, 0n, 0n, 0n] });
    expect(boot.summary).toBe("boot messages");
  });

  test("Yitian", () => {
    const bytes = laid(128, { 0: hex`50 01 02 00`, 12: hex`01 01 01 00`, 16: hex`05 00 00 00`, 88: hex`aa 00 00 00` });
    const { value, summary } = read("yitianDdr", bytes);
    expect(value).toMatchObject({ eccStatus: 0x10101, eccErrorCount: 5, uncorrectedData: [0xaa, 0] });
    expect(summary).toBe("DDR, subtype 1, instance 0x2, error count register 0x5");
  });

  test("Jaguar Micro: registers and further ones", () => {
    const bytes = laid(36 + 4 + 8, { 0: hex`d2 00 00 00`, 5: hex`01 02 03 04 05  07 00  02`, 16: hex`11`, 36: hex`08 00 00 00 aa 00 00 00 bb 00 00 00` });
    const { value, summary } = read("jaguarMicroSmmu", bytes);
    expect(value).toMatchObject({ registers: [0x11, 0, 0, 0, 0], extraRegisters: [{ value: 0xaa }, { value: 0xbb }] });
    expect(summary).toBe("corrected, SoC 1, submodule 4, error type 7");
  });

  test("Linux: a machine check of a kernel that knows the syndrome", () => {
    const bytes = laid(128, {
      0: hex`35 01 0c 00 00 00 a0 ba`,
      48: hex`00 f1 53 65`,
      56: hex`02 00 00 00  10 0f a2 00  10 00 00 01  0b 00 00 00`,
      96: hex`00 00 00 00 b0 00 10 00`,
    });
    expect(read("linuxMachineCheck", bytes).summary).toBe(
      "bank 0, fatal, load queue parity error (memory hierarchy error, data read, data, level 1), load-store unit, processor 11",
    );
    expect(read("linuxMachineCheck", bytes.slice(0, 88)).value["rest"]).toBeUndefined();
  });
  test("Linux: messages", () => {
    const text = new TextEncoder().encode("Panic#1 Part1\n<4>first line\n");
    const { summary, lines } = read("linuxMessages", text);
    expect(summary).toBe("28 bytes: Panic#1 Part1");
    expect(lines).toContain("<4>first line");
  });
});

describeShared("NVIDIA records against libcper's decode", () => {
  const format = cperFormat();
  const bodies = (name: string) => {
    const findings: Finding[] = [];
    const record = format.parse(shared("corpus/libcper", `${name}.cper.bin`), findings);
    return {
      bodies: record.sections.map((section) => section.body?.value as Record<string, unknown>),
      json: JSON.parse(sharedText("corpus/libcper", `${name}.json`)),
    };
  };

  test("registers", () => {
    const { bodies: mine, json } = bodies("nvidia");
    const theirs = json.sections[0].Nvidia;
    expect(mine[0]).toMatchObject({
      signature: theirs.signature,
      errorType: theirs.errorType,
      errorInstance: theirs.errorInstance,
      socket: theirs.socket,
      registerCount: theirs.registerCount,
    });
    expect((mine[0]!["registers"] as unknown[]).length).toBe(theirs.registers.length);
  });
  test("memory channels", () => {
    const { bodies: mine, json } = bodies("nvidia_cmet_info");
    const lines = typeOf("nvidia").explain?.(mine[0] as never) ?? [];
    expect(lines.map(({ label, text }) => [label, text?.includes("enabled"), Number.parseInt(text ?? "", 10)])).toEqual(
      json.sections[0].Nvidia.CMETInfo.map((channel: { ChannelAddress: string; ChannelEnabled: boolean; ErrorCount: number }) => [
        `channel ${channel.ChannelAddress.toLowerCase()}`,
        channel.ChannelEnabled,
        channel.ErrorCount,
      ]),
    );
  });
  test("events of a processor, all forms of data", () => {
    const { bodies: mine, json } = bodies("nvidia_event_all_types");
    const theirs = json.sections[0].NvidiaEvent;
    expect(mine[0]).toMatchObject({
      signature: theirs.eventHeader.signature,
      sourceDevice: "cpu",
      linkId: BigInt(theirs.eventHeader.linkId),
      info: {
        socket: 2,
        instanceBase: BigInt(theirs.eventInfo.cpu.InstanceBase),
        architecture: { chipId: 0x11, majorRevision: 1, minorRevision: 1, hidFamily: 1 },
      },
    });
    const contexts = mine[0]!["contexts"] as { data: Record<string, { key?: unknown; value: unknown }[]> | Uint8Array; dataSize: number }[];
    expect(contexts.map(({ dataSize }) => dataSize)).toEqual(theirs.eventContexts.map(({ dataSize }: { dataSize: number }) => dataSize));
    expect(contexts[0]?.data).toEqual({
      pairs: theirs.eventContexts[0].data.type1.keyValArray64.map(({ key64, val64 }: Record<string, string>) => ({
        key: BigInt(key64!),
        value: BigInt(val64!),
      })),
    });
    expect(contexts[3]?.data).toEqual({
      values: theirs.eventContexts[3].data.type4.valArray32.map(({ val32 }: Record<string, string>) => ({ value: Number(val32) })),
    });
    expect(contexts[4]?.data).toEqual(Uint8Array.from(Buffer.from(theirs.eventContexts[4].data.opaque, "hex")));
  });
  test("events of a GPU", () => {
    const init = bodies("nvidia_event_gpu_init");
    const theirs = init.json.sections[0].NvidiaEvent.eventContexts[0].data.gpuInitMetadata;
    const data = (init.bodies[0]!["contexts"] as { data: object }[])[0]!.data;
    expect(data).toMatchObject({
      deviceName: theirs.deviceName,
      firmwareVersion: theirs.firmwareVersion,
      pfDriverVersion: theirs.pfDriverVersion,
      configuration: BigInt(theirs.configuration),
      architectureId: { architecture: "blackwell" },
      vendorId: Number(theirs.pciInfo.vendorId),
      bar1Start: BigInt(theirs.pciInfo.bar1Start),
      bar2Size: 0n,
    });
    const error = bodies("nvidia_event_gpu_uce_ecc");
    const words = error.bodies.flatMap((body) => typeOf("nvidiaEvent").explain?.(body as never) ?? []).map(({ label }) => label);
    const xids = error.json.sections.flatMap(
      (section: { NvidiaEvent: { eventContexts: { data: { gpuLegacyXid?: { xidCode: number; message: string } } }[] } }) =>
        section.NvidiaEvent.eventContexts.flatMap(({ data }) => (data.gpuLegacyXid ? [`Xid ${data.gpuLegacyXid.xidCode}: ${data.gpuLegacyXid.message}`] : [])),
    );
    expect(words).toEqual(xids);
  });
  test("real records of a management controller", () => {
    const findings: Finding[] = [];
    const record = format.parse(shared("corpus/cper-other/nvidia-ccplex-bad.bin"), findings);
    expect(record.sections[0]?.body?.value).toMatchObject({ signature: "CCPLEXSCF", severity: "corrected", registerCount: 6, instanceBase: 0x18200000n });
    // The file is broken on purpose: nothing is said of the bodies themselves.
    expect(findings.filter(({ path }) => path.includes("body"))).toEqual([]);
  });
});

describeShared("generated records", () => {
  test("every NVIDIA and Ampere section is read whole", () => {
    const format = cperFormat();
    const all = shared("corpus/libcper/generated-24000.bin");
    const view = new DataView(all.buffer, all.byteOffset, all.length);
    const seen = new Map<string, number>();
    const odd: string[] = [];
    let n = 0;
    for (let at = 0; at < all.length; n++) {
      const length = view.getUint32(at + 20, true);
      if (n % 48 === 0) {
        const findings: Finding[] = [];
        const record = format.parse(all.slice(at, at + length), findings);
        record.sections.forEach((section, i) => {
          const name = section.body?.type?.name;
          if (name === undefined || !/^(nvidia|ampere)/.test(name)) return;
          seen.set(name, (seen.get(name) ?? 0) + 1);
          odd.push(...findings.filter(({ path }) => path.startsWith(`record.sections[${i}].body`)).map(({ message }) => message));
          expect(typeOf(name).summary?.(section.body?.value as never)).not.toMatch(/undefined|NaN/);
        });
      }
      at += length;
    }
    expect([...seen.keys()].sort()).toEqual(["ampere", "nvidia", "nvidiaEvent"]);
    expect(odd).toEqual([]);
  });
});
