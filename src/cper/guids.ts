/** What the GUIDs in record headers stand for, in words. Lower-case GUIDs; a new name is one row. */

/** What Linux puts into the records it stores itself (Linux drivers/acpi/apei/erst.c). */
export const LINUX_PSTORE = "75a574e3-5052-4b29-8a8e-be2c6490b89d";
/** Notification type of a machine check exception. */
export const MACHINE_CHECK = "e8f56ffe-919c-4cc5-ba88-65abe14913bb";

/** How an error was signalled (UEFI 2.11 N.2.1.1, table N.3). */
export const NOTIFICATION_TYPES: Readonly<Record<string, string>> = {
  "2dce8bb1-bdd7-450e-b9ad-9cf4ebd4f890": "corrected machine check (CMC)",
  "4e292f96-d843-4a55-a8c2-d481f27ebeee": "corrected platform error (CPE)",
  [MACHINE_CHECK]: "machine check exception (MCE)",
  "cf93c01f-1a16-4dfc-b8bc-9c4daf67c104": "PCI Express error",
  "cc5263e8-9308-454a-89d0-340bd39bc98e": "INIT",
  "5bad89ff-b7e6-42c9-814a-cf2485d6e98a": "NMI",
  "3d61a466-ab40-409a-a698-f362d464b38f": "boot error",
  "667dd791-c6b3-4c27-8a6b-0f8e722deb41": "DMA remapping error",
  "9a78788a-bbe8-11e4-809e-67611e5d46b0": "synchronous external abort (SEA)",
  "5c284c81-b0ae-4e87-a322-b04c85624323": "SError interrupt (SEI)",
  "09a9d5ac-5204-4214-96e5-94992e752bcd": "platform error interrupt (PEI)",
  "69293bc9-41df-49a3-b4bd-4fb0db3041f6": "CXL component event",
  // Windows' own (WDK cperguid.h).
  "919448b2-3739-4b7f-a8f1-e0062805c2a3": "corrected machine check interrupt (CMCI)",
  "3e62a467-ab40-409a-a698-f362d464b38f": "generic",
  "487565ba-6494-4367-95ca-4eff893522f6": "baseboard management controller (BMC)",
  "e9d59197-94ee-4a4f-8ad8-9b7d8bd93d2e": "system control interrupt (SCI)",
  "fe84086e-b557-43cf-ac1b-17982e078470": "external interrupt",
  "0033f803-2e70-4e88-992c-6f26daf3db7a": "device driver",
  "990b31e9-541a-4db0-a42f-837d344f6923": "device error summary",
};

/** Who created a record. */
export const CREATORS: Readonly<Record<string, string>> = {
  [LINUX_PSTORE]: "Linux pstore",
  "cd5c2993-f4b2-41b2-b5d4-f9c3a0330875": "AMD FRU memory poison manager",
  "e0a45619-a451-4450-96c2-c7a1e90a95fa": "MediaTek/NVIDIA GB10 firmware",
  "cf07c4bd-b789-4e18-b3c4-1f732cb57131": "Windows kernel",
  "57217c8d-5e66-44fb-8033-9b74cacedf5b": "Windows device driver",
  "8efebc4a-5222-409c-a59f-6f06ddb79678": "Project Mu firmware",
  "eba67344-b876-4237-b80d-27e1297fa2ff": "Intel crash log tool",
  "a901e478-1173-11ef-96a8-5fa6bef5eea4": "NVIDIA baseboard management controller",
};

/** Windows' names for what a record or a driver's error source belongs to. */
export const ERROR_SOURCES: Readonly<Record<string, string>> = {
  "83c1603c-1552-48a7-87d1-14d9467d7765": "Windows storage port driver (StorPort)",
};

/** Layouts of firmware error records that UEFI leaves to the vendor, by the GUID in the record reference. */
export const FIRMWARE_RECORDS: Readonly<Record<string, string>> = {
  "8f87f311-c998-4d9e-a0c4-6065518c4f6d": "Intel crash log",
  "26d769a7-c31a-43d0-9378-3c6c872eea4d": "Intel firmware record, not identified",
  "024508e0-d564-42ed-b236-580d542bc9d6": "Intel firmware record, not identified",
  "c121d261-1f16-4583-8848-e889d903bd19": "Arm RD-V3 management control processor firmware",
};
