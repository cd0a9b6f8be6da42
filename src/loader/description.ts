/** What a machine hands to its firmware, described: error sources, tables from files, further blobs. */
import { NOTIFICATION } from "../acpi/notification.ts";

/** A number as people write it: up to 53 bits plain, otherwise "0x…". */
export type Amount = number | string;

export interface NotificationDescription {
  readonly type: keyof typeof NOTIFICATION | number;
  readonly pollInterval?: number;
  readonly vector?: number;
}

export interface AcknowledgeDescription {
  readonly preserve?: Amount;
  readonly write?: Amount;
  /** Where in the register both masks start. */
  readonly bitOffset?: number;
  /** Id of the source whose register this one uses too. */
  readonly sharedWith?: number;
}

export interface SourceDescription {
  readonly id: number;
  readonly notification: keyof typeof NOTIFICATION | number | NotificationDescription;
  /** Bytes of the error status block. */
  readonly blockLength?: number;
  /** Whether the guest acknowledges each error (GHES version 2). */
  readonly acknowledge?: boolean | AcknowledgeDescription;
  readonly related?: number;
  readonly enabled?: boolean;
  readonly records?: number;
  readonly sections?: number;
  readonly maxRawData?: number;
  /** Registers at fixed addresses instead of in `etc/hardware_errors`. */
  readonly at?: { readonly status: Amount; readonly acknowledge?: Amount };
}

export interface TargetDescription {
  /** A table by signature, or a file with an offset. */
  readonly table?: string;
  readonly file?: string;
  readonly offset?: number;
}

export interface PointerDescription {
  /** Bytes from the start of the table. */
  readonly offset: number;
  readonly size: 4 | 8;
  readonly to: string | TargetDescription;
}

export interface WritePointerDescription {
  readonly file: string;
  readonly offset?: number;
  readonly to: string | TargetDescription;
}

export interface TableDescription {
  /** Path of the table's bytes; relative to the description. */
  readonly file?: string;
  /** Instead of a file: the HEST made of `errorSources`. */
  readonly hest?: true;
  /** Default for a FADT: its FACS and DSDT; otherwise none. */
  readonly pointers?: readonly PointerDescription[];
  /** Emitted before the pointers. */
  readonly writePointers?: readonly WritePointerDescription[];
  /** Whether the firmware computes the checksum; default true, false for a FACS. */
  readonly checksum?: boolean;
}

export interface BlobDescription {
  /** Path of the content, or `size` zeros. */
  readonly content?: string;
  readonly size?: number;
  readonly alignment?: number;
  readonly zone?: "high" | "fSegment";
}

export interface BuildDescription {
  readonly machine?: MachineName;
  readonly handOff?: "hardwareErrors" | "hest";
  readonly errorSources?: readonly SourceDescription[];
  readonly tables: readonly TableDescription[];
  /** fw_cfg files the tables refer to. */
  readonly files?: Readonly<Record<string, BlobDescription>>;
  /** Signatures in the order of the root table; default: every table but DSDT and FACS. */
  readonly root?: readonly string[];
  readonly identity?: {
    readonly oemId?: string;
    readonly oemTableId?: string;
    readonly oemRevision?: number;
    readonly creatorId?: string;
    readonly creatorRevision?: number;
  };
  /** Overrides what the machine implies. */
  readonly layout?: Partial<MachineLayout>;
}

export interface MachineLayout {
  readonly rootTable: "rsdt" | "xsdt";
  /** The tables' blob is padded with zeros to a multiple of so many bytes. */
  readonly tablesMultiple: number;
  readonly scriptMultiple: number;
}

/** How QEMU's machines lay out what they hand over. */
export const MACHINES = {
  virt: { rootTable: "xsdt", tablesMultiple: 0x20000, scriptMultiple: 1 },
  loongarch64: { rootTable: "xsdt", tablesMultiple: 1, scriptMultiple: 4096 },
  q35: { rootTable: "rsdt", tablesMultiple: 0x20000, scriptMultiple: 4096 },
  pc: { rootTable: "rsdt", tablesMultiple: 0x20000, scriptMultiple: 4096 },
} as const satisfies Record<string, MachineLayout>;
export type MachineName = keyof typeof MACHINES;

type Schema = { readonly [key: string]: unknown };
const object = (description: string, required: readonly string[], properties: Schema, more: Schema = {}): Schema => ({
  type: "object",
  description,
  additionalProperties: false,
  ...(required.length > 0 && { required }),
  properties,
  ...more,
});
const whole = (description: string, maximum: number, minimum = 0): Schema => ({ type: "integer", description, minimum, maximum });
const U16 = 0xffff;
const U32 = 0xffffffff;
const word64 = (description: string): Schema => ({
  description: `${description}: a number, or text such as "0x12345000" of at most 64 bits`,
  oneOf: [
    { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    { type: "string", pattern: "^0x[0-9a-fA-F]{1,16}$" },
  ],
});
const fileName = (description: string): Schema => ({ type: "string", description, minLength: 1, maxLength: 55, pattern: "^[\\x21-\\x7e]+$" });
const text = (description: string, length: number): Schema => ({ type: "string", description, maxLength: length, pattern: "^[\\x20-\\x7e]*$" });
const notificationType: Schema = {
  description: "How the guest is told",
  oneOf: [{ enum: Object.keys(NOTIFICATION) }, whole("Number of a type without a name", 255)],
};
const target: Schema = {
  description: "A table by its signature, or a place in a file",
  oneOf: [
    { type: "string", minLength: 4, maxLength: 4 },
    object("A place", [], {
      table: { type: "string", minLength: 4, maxLength: 4, description: "Signature of a table" },
      file: fileName("fw_cfg file"),
      offset: whole("Bytes from its start", U32),
    }),
  ],
};

/** JSON Schema of a build description. */
export const buildDescriptionSchema: Schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Build description",
  ...object("What a machine hands to its firmware", ["tables"], {
    $schema: { type: "string" },
    machine: { enum: Object.keys(MACHINES), description: "The QEMU machine whose layout is followed; default virt" },
    handOff: {
      enum: ["hardwareErrors", "hest"],
      description: "What the firmware writes back: the address of etc/hardware_errors (QEMU up to 10.1) or of the HEST (from 10.2 on); default hest",
    },
    errorSources: {
      type: "array",
      description: "The sources of the HEST, in its order",
      items: object("A generic hardware error source", ["id", "notification"], {
        id: whole("Source id, unique", U16),
        notification: {
          oneOf: [
            ...(notificationType["oneOf"] as Schema[]),
            object("The notification with its numbers", ["type"], {
              type: notificationType,
              pollInterval: whole("Milliseconds between polls", U32),
              vector: whole("Interrupt or SDEI event number", U32),
            }),
          ],
        },
        blockLength: whole("Bytes of the error status block; default 1024", 1 << 20, 20),
        acknowledge: {
          description: "Whether the guest acknowledges each error; default true",
          oneOf: [
            { type: "boolean" },
            object("With masks of its own", [], {
              preserve: word64("Bits of the register to keep"),
              write: word64("Bits of the register to set"),
              bitOffset: whole("Where in the register both masks start; default 0", 63),
              sharedWith: whole("Id of the source whose register this one uses too", U16),
            }),
          ],
        },
        related: whole("Id of the source this one is an alternative to", U16),
        enabled: { type: "boolean" },
        records: whole("Records the guest should allocate; default 1", U32),
        sections: whole("Sections in a record at most; default 1", U32),
        maxRawData: whole("Bytes of raw data at most; default the block length", U32),
        at: object("Registers at fixed addresses instead of in etc/hardware_errors", ["status"], {
          status: word64("Address of the register that holds the block's address"),
          acknowledge: word64("Address of the acknowledge register"),
        }),
      }),
    },
    tables: {
      type: "array",
      minItems: 1,
      description: "Tables in the order in which they lie in etc/acpi/tables",
      items: object("A table", [], {
        file: { type: "string", minLength: 1, description: "Path of its bytes, relative to this description" },
        hest: { const: true, description: "Instead of a file: the HEST of errorSources" },
        pointers: {
          type: "array",
          description: "Addresses in the table; default for the FADT: its FACS and DSDT",
          items: object("A pointer", ["offset", "size", "to"], { offset: whole("Bytes from the start of the table", U32), size: { enum: [4, 8] }, to: target }),
        },
        writePointers: {
          type: "array",
          description: "Addresses the firmware writes back to the host",
          items: object("A write pointer of 8 bytes", ["file", "to"], {
            file: fileName("Writable fw_cfg file"),
            offset: whole("Bytes from its start", U32),
            to: target,
          }),
        },
        checksum: { type: "boolean", description: "Whether the firmware computes the table's checksum; default true, false for a FACS" },
      }),
    },
    files: {
      type: "object",
      description: "Further fw_cfg files that tables point to, by name",
      propertyNames: { maxLength: 55, pattern: "^[\\x21-\\x7e]+$" },
      additionalProperties: object("A blob", [], {
        content: { type: "string", minLength: 1, description: "Path of its bytes, relative to this description" },
        size: whole("Bytes of zeros instead", 1 << 26, 1),
        alignment: { enum: Array.from({ length: 32 }, (_, bit) => 2 ** bit), description: "Default 1" },
        zone: { enum: ["high", "fSegment"] },
      }),
    },
    root: {
      type: "array",
      description: "Signatures in the order of the root table; default every table but DSDT and FACS",
      items: { type: "string", minLength: 4, maxLength: 4 },
    },
    identity: object("What HEST, root table and RSDP name as their maker; default QEMU's", [], {
      oemId: text("Manufacturer", 6),
      oemTableId: text("Manufacturer's name for the table", 8),
      oemRevision: whole("Revision", U32),
      creatorId: text("Tool", 4),
      creatorRevision: whole("Revision", U32),
    }),
    layout: object("What differs from the machine's layout", [], {
      rootTable: { enum: ["rsdt", "xsdt"] },
      tablesMultiple: whole("The tables are padded to a multiple of so many bytes", 1 << 26, 1),
      scriptMultiple: whole("The script is padded to a multiple of so many bytes", 1 << 20, 1),
    }),
  }),
};
