import { describe, expect, test } from "vitest";
import { fileTimeText } from "../../src/cper/file-time.ts";
import { CREATORS } from "../../src/cper/guids.ts";
import { descriptorWords, headerWords } from "../../src/cper/header-words.ts";
import { RecordHeader, SectionDescriptor } from "../../src/cper/record.ts";
import { type CperRecord, cperFormat } from "../../src/cper/record-codec.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import type { WheaMachineCheck } from "../../src/cper/sections/whea-machine-check.ts";
import { type Finding, type Json, parse, treeLines } from "../../src/layout/index.ts";
import { describeShared, shared, sharedNames, sharedText } from "../support/shared.ts";

const format = cperFormat();
const read = (name: string, folder = "corpus/whea-cper") => {
  const findings: Finding[] = [];
  const bytes = shared(folder, name);
  const record = format.parse(bytes, findings);
  return { bytes, record, findings };
};
const bodyOf = <T>(record: CperRecord, name: string): T => record.sections.find((section) => section.body?.type?.name === name)?.body?.value as T;
const words = (record: CperRecord) =>
  format
    .tree(record)
    .flatMap((tree) => treeLines(tree))
    .map((line) => line.trim());

/** Microsoft's names, as its own decoder prints them. */
const SECTION_NAMES: Readonly<Record<string, string>> = {
  "Processor Generic Error Section": "processorGeneric",
  "XPF Processor Error": "ia32x64Processor",
  "XPF MCA Section": "wheaMachineCheck",
  "Memory Error Section": "platformMemory",
  "PCIe Error Section": "pcie",
  "Device Driver Error Section": "storPort",
  "c34832a1-02c3-4c52-a9f1-9f1d5d7723fc": "wheaRecovery",
};
const FLAG_NAMES: Readonly<Record<string, object>> = { "": {}, Persist: { persistPfn: true }, "Device Driver": { deviceDriver: true } };

describeShared("records with Microsoft's own decode of header and descriptors", () => {
  test.each(sharedNames("corpus/whea-cper", (name) => name.endsWith(".parsed.json")))("%s", (name) => {
    const { record } = read(name.replace(".parsed.json", ".bin"));
    const theirs = JSON.parse(sharedText("corpus/whea-cper", name)) as Record<string, string>;
    const listed = (key: string) => theirs[key]!.split(",");
    const { header } = record;
    expect(String(header.sectionCount)).toBe(theirs["Section Count"]);
    expect(header.severity).toBe(theirs["Severity"]!.toLowerCase());
    expect(String(header.recordLength)).toBe(theirs["Record Length"]);
    expect(header.recordId).toBe(BigInt(theirs["Record Id"]!));
    expect(header.flags).toEqual(FLAG_NAMES[theirs["Flags"]!]);
    const [, month, day, year, time] = /^(\d+)\/(\d+)\/(\d+) (.*)$/.exec(theirs["Timestamp"]!)!;
    expect(header.timestamp).toBe(`${year}-${month!.padStart(2, "0")}-${day!.padStart(2, "0")}T${time} binary`);
    expect(header.validation?.platformId ? header.platformId : "Invalid").toBe(theirs["Platform Id"]);
    if (theirs["Creator Id"] === "WHEA Record Creator") expect(CREATORS[header.creatorId!]).toBe("Windows kernel");
    else expect(header.creatorId).toBe(theirs["Creator Id"]);
    expect(record.sections.map(({ descriptor }) => String(descriptor.sectionLength))).toEqual(listed("Sections Length"));
    expect(record.sections.map(({ descriptor }) => String(descriptor.sectionOffset))).toEqual(listed("Sections Offset"));
    expect(record.sections.map(({ descriptor }) => descriptor.severity)).toEqual(listed("Sections Severity").map((word) => word.toLowerCase()));
    expect(record.sections.map(({ body }) => body?.type?.name.replace("Prerelease", ""))).toEqual(listed("Sections Type").map((word) => SECTION_NAMES[word]));
  });
});

/** What really is odd in these records, by file and section. */
const ODD: Readonly<Record<string, string>> = {
  // One structure more than the section counts.
  "ralish-ErrorMultiple3.bin 1": "80 bytes follow the IA32/X64 Processor Error",
};

describeShared("Windows records", () => {
  test.each(sharedNames("corpus/whea-cper", (name) => name.endsWith(".bin")))("%s: every section is known, words have no holes", (name) => {
    const { bytes, record, findings } = read(name);
    for (const [i, section] of record.sections.entries()) {
      expect(section.body?.type, `section ${i}`).toBeDefined();
      const message = ODD[`${name} ${i}`];
      expect(findings.filter(({ path }) => path.startsWith(`record.sections[${i}]`)).map((finding) => finding.message)).toEqual(message ? [message] : []);
    }
    expect(format.encode(format.fromJson(JSON.parse(JSON.stringify(format.toJson(record))) as { [key: string]: Json }))).toEqual(bytes);
    expect(`${format.summary(record)}\n${words(record).join("\n")}`).not.toMatch(/undefined|NaN|\[object/);
  });

  test("the time of a machine check is the record's", () => {
    for (const name of sharedNames("corpus/whea-cper", (file) => file.endsWith(".bin"))) {
      const { record } = read(name);
      const body = bodyOf<WheaMachineCheck | undefined>(record, "wheaMachineCheck");
      if (body?.time) expect(fileTimeText(body.time).slice(0, 19), name).toBe(record.header.timestamp?.slice(0, 19));
    }
  });

  test("version 1, Intel, bank 20", () => {
    const { record } = read("mspytool-cmc-proc-x64-mca.bin");
    const body = bodyOf<WheaMachineCheck>(record, "wheaMachineCheck");
    expect(body).toMatchObject({ version: 1, cpuVendor: "intel", bank: 20, status: 0xc800034000310e0fn });
    // The bus check Windows derived from this status, 0x6e0c0079e: generic participation, other address space, level 3, overflow, no time-out.
    expect(words(record)).toContain("bank 20: corrected, bus or interconnect error, generic error, other, generic participation, generic level, no time-out");
  });

  test("289 bytes: version 3 before its release", () => {
    const { record } = read("mspytool-cmci-mem-mca-a.bin");
    const body = bodyOf<WheaMachineCheck>(record, "wheaMachineCheck");
    expect(body).toMatchObject({ version: 3, bank: 7, status: 0x9c00004001010092n, address: 0x6b3e7c00n });
    const lines = words(record);
    // The memory section of the same record names the same address.
    expect(bodyOf<{ physicalAddress: bigint }>(record, "platformMemory").physicalAddress).toBe(0x6b3e7c00n);
    expect(lines).toContain("bank 7: corrected, memory controller error, read, channel 2, physical address 0x6b3e7c00");
    expect(lines).toContain("form: 289 bytes, written by Windows builds of spring 2020 before version 3 was released");
    expect(record.sections[3]?.body?.type?.name).toBe("wheaRecoveryPrerelease");
    expect(record.sections[3]?.body?.value).toMatchObject({ action: { noneAttempted: true }, succeeded: "no", processName: "" });
  });

  test("version 3, AMD, load-store unit", () => {
    const { record } = read("ralish-ErrorMultiple1.bin");
    expect(words(record)).toContain("bank 0: fatal, load queue parity error (memory hierarchy error, data read, data, level 1), load-store unit");
    expect(record.sections[3]?.body?.value).toMatchObject({ irql: 255, action: { noneAttempted: true }, failureReason: "none" });
    // The memory section has no valid fields: the summary takes the next one that says something.
    expect(format.summary(record)).not.toMatch(/^Fatal platform memory error \(/);
  });

  test("version 4, AMD, decode unit", () => {
    const { record } = read("ralish-ErrorMultiple3.bin");
    const body = bodyOf<WheaMachineCheck>(record, "wheaMachineCheck");
    expect(body.extension).toMatchObject({ extraBankCount: 0 });
    expect((body.extension as unknown as { extraStatus: unknown[] }).extraStatus).toHaveLength(32);
    expect(words(record)).toContain(
      "bank 3: corrected, micro-op cache data parity error (memory hierarchy error, instruction fetch, instruction, reserved level), decode unit",
    );
  });

  test("a storage driver's packet, with and without the miniport's data", () => {
    const { record } = read("mspytool-devicedriver-zeroguid.bin");
    expect(record.sections[0]?.body?.value).toMatchObject({
      signature: "STORPORT",
      length: 186,
      extraLength: 88,
      vendor: "NVMe    ",
      product: "SAMSUNG MZ1LB1T9",
    });
    expect(format.summary(record)).toBe("Fatal device driver error, driver stornvme, device NVMe SAMSUNG MZ1LB1T9");
    expect(words(record)).toContain("FRU text: marked valid, but empty");
    expect(read("ralish-ErrorUnsupportedSection1.bin").record.sections[0]?.body?.value).toMatchObject({
      length: 98,
      extraLength: 0,
      product: "KINGSTON SFYRD20",
    });
  });

  test("a memory section of 73 bytes with four of padding", () => {
    const { record } = read("ralish-ErrorMemory1.bin");
    expect(record.sections[0]?.body?.value).toMatchObject({ memoryErrorType: "singleBitEcc", errorStatus: { type: "memory" }, trailing: new Uint8Array(1) });
  });

  test("persistence information and record id in words", () => {
    const lines = words(read("mspytool-cmc-proc-x64-mca.bin").record);
    expect(lines).toContain("persistence information in words: signature RE");
    expect(lines.find((line) => line.startsWith("record id as time"))).toMatch(/: 2020-02-0/);
    expect(words(read("ralish-ErrorMultiple1.bin").record)).toContain("time: that of the boot that found the error, not of the error");
  });
});

describe("the creator chooses how header fields are read", () => {
  const header = (at: Readonly<Record<number, readonly number[]>>) => {
    const bytes = new Uint8Array(RecordHeader.size);
    for (const [offset, values] of Object.entries(at)) bytes.set(values, Number(offset));
    return parse(RecordHeader, bytes);
  };
  const ascii = (text: string) => [...text].map((letter) => letter.charCodeAt(0));
  const windowsKernel = [0xbd, 0xc4, 0x07, 0xcf, 0x89, 0xb7, 0x18, 0x4e, 0xb3, 0xc4, 0x1f, 0x73, 0x2c, 0xb5, 0x71, 0x31];
  const descriptor = (flags: number) => {
    const bytes = new Uint8Array(SectionDescriptor.size);
    bytes[12] = flags;
    return parse(SectionDescriptor, bytes);
  };

  test("flag bit 7 of a section", () => {
    expect(descriptorWords(header({ 64: windowsKernel }), descriptor(0x81))).toEqual([
      { label: "flag bit 7", text: "here: the FRU text was supplied by a plug-in, not overflow" },
    ]);
    expect(descriptorWords(header({}), descriptor(0x81))).toEqual([]);
  });
  test("persistence information", () => {
    // Signature RE, length 0x000400, identifier 7, do not log.
    const said = headerWords(header({ 64: windowsKernel, 108: [0x45, 0x52, 0x00, 0x04, 0x00, 0x07, 0x00, 0x04] }));
    expect(said.map(({ text }) => text)).toContain("signature RE, 1024 bytes in the store, identifier 7, not to be logged");
  });
  test("a body that begins with a descriptor the count leaves out means nothing", () => {
    // Header, two descriptors, then a memory section of 80 bytes that holds the descriptor of an error packet, then a recovery section.
    const bytes = new Uint8Array(128 + 2 * 72 + 80 + 39);
    bytes.set([...ascii("CPER"), 0x10, 0x02, 0xff, 0xff, 0xff, 0xff, 2, 0, 2, 0, 0, 0]);
    bytes.set([bytes.length & 255, bytes.length >> 8], 20);
    bytes.set(windowsKernel, 64);
    const put = (at: number, offset: number, length: number, guid: readonly number[]) => {
      bytes.set([offset & 255, offset >> 8, 0, 0, length & 255, length >> 8, 0, 0, 0x00, 0x03], at);
      bytes.set(guid, at + 16);
    };
    put(128, 272, 80, [0x14, 0x11, 0xbc, 0xa5, 0x64, 0x6f, 0xde, 0x4e, 0xb8, 0x63, 0x3e, 0x83, 0xed, 0x7c, 0x83, 0xb1]);
    put(200, 352, 39, [0xa1, 0x32, 0x48, 0xc3, 0xc3, 0x02, 0x52, 0x4c, 0xa9, 0xf1, 0x9f, 0x1d, 0x5d, 0x77, 0x23, 0xfc]);
    put(272, 391, 369, [0xe9, 0x54, 0x12, 0xe7, 0xb9, 0xc1, 0x40, 0x49, 0xab, 0x76, 0x90, 0x97, 0x03, 0xa4, 0x32, 0x0f]);
    bytes[352 + 1] = 8; // page marked bad
    const record = format.parse(bytes, []);
    expect(format.summary(record)).toBe("Corrected Windows recovery information, page marked bad, no success recorded (and 1 more section)");
    expect(words(record)).toContain(
      "body: begins with a section descriptor that the record's count leaves out (Windows error packet, 369 bytes at 391): its fields mean nothing",
    );
  });
  test("Windows' additions to the processor section", () => {
    const body = new Uint8Array(192);
    body.set([0x42, 0x20], 0); // instruction set, CPU version, and bit 13: native model id
    body[9] = 8;
    body.set([0x11, 0x0f, 0xa1, 0x00, 0x34, 0x12], 16);
    const type = sectionTypes.byName("processorGeneric")!;
    const said = descriptorWords(header({ 64: windowsKernel }), descriptor(0), { type, value: parse(type.layout, body) as object });
    expect(said.map(({ label, text }) => [label, text])).toEqual([
      ["native model id", "0x1234"],
      ["instruction set", "ARM64"],
    ]);
  });
  test("amdgpu writes ASCII where GUIDs belong", () => {
    const record = header({ 32: ascii("0x1002:0x75A0"), 64: ascii("amdgpu"), 96: ascii("0:1F") });
    expect(headerWords(record).map(({ label, text }) => [label, text])).toEqual([
      ["creator", "amdgpu"],
      ["platform", "0x1002:0x75A0"],
      ["record id", "0:1F"],
    ]);
    expect(descriptorWords(record, descriptor(0x10))).toEqual([{ label: "flag bit 4", text: "here: latent error" }]);
  });
  test("other creators add nothing", () => {
    expect(headerWords(header({ 64: [1, 2, 3], 96: [5] }))).toEqual([]);
  });
});

describe("names of facts", () => {
  test("every Microsoft section has a type", () => {
    // WDK cperguid.h.
    for (const guid of [
      "8a1e1d01-42f9-4557-9c33-565e5cc3f7e8",
      "e71254e7-c1b9-4940-ab76-909703a4320f",
      "e71254e8-c1b9-4940-ab76-909703a4320f",
      "e71254e9-c1b9-4940-ab76-909703a4320f",
      "6f3380d1-6eb0-497f-a578-4d4c65a71617",
      "1c15b445-9b06-4667-ac25-33c056b88803",
      "ec49534b-30e7-4358-972f-eca6958fae3b",
      "85183a8b-9c41-429c-939c-5c3c087ca280",
      "81687003-dbfd-4728-9ffd-f0904f97597d",
      "c34832a1-02c3-4c52-a9f1-9f1d5d7723fc",
      "e96eca99-53e2-4f52-9be7-d2dbe9508ed0",
      "0e36c93e-ca15-4a83-ba8a-cbe80f7f0017",
      "f5fe48a6-84ce-4c1e-aa64-20c9a53099f1",
      "f2a4a152-9c6d-4020-aecf-7695b389251b",
      "dd060800-f6e1-4204-ac27-c4bca9568402",
      "e3ebf4a2-df50-4708-b2d7-0b29ec2f7aa9",
      "e16edb28-6113-4263-a41d-e53f8de78751",
      "0d3a4a3b-774a-4c72-95e2-152d43180374",
      "cc245308-61d5-4356-a707-25172ec2f5ea",
      "c6749ac0-16fb-4868-b976-65a61299834f",
      "00000000-0000-0000-0000-000000000000",
      "93a41c2f-a09f-e7c2-ac1f-f2488f03eec3",
    ])
      expect(sectionTypes.byGuid(guid)?.summary, guid).toBeDefined();
  });
  test("file times", () => {
    expect(fileTimeText(0n)).toBe("none");
    expect(fileTimeText(116444736000000000n)).toBe("1970-01-01T00:00:00.000Z");
    expect(fileTimeText(0xffffffffffffffffn)).toMatch(/^(0x|\+)/);
  });
});
