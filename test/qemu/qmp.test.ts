import { afterEach, expect, test } from "vitest";
import { QmpClient } from "../../src/qemu/qmp.ts";
import { type FakeServer, fakeServer, greeting } from "./fake-server.ts";

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});
const EMPTY = '{"return": {}}\r\n';

test("greets, sends one command a line and keeps events apart from answers", async () => {
  server = await fakeServer(greeting(7, 2), (line) =>
    line.includes("query-status") ? '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME"}\r\n{"return": {"status": "running"}}\r\n' : EMPTY,
  );
  const qmp = await QmpClient.connect(server.path);
  expect(qmp.version).toMatchObject({ major: 7, minor: 2, micro: 22 });
  expect(await Promise.all([qmp.execute("query-status"), qmp.execute("qom-list", { path: "/machine" })])).toEqual([{ status: "running" }, {}]);
  expect(qmp.events.map(({ event }) => event)).toEqual(["RESUME"]);
  expect(server.received).toEqual(['{"execute":"qmp_capabilities"}', '{"execute":"query-status"}', '{"execute":"qom-list","arguments":{"path":"/machine"}}']);
  qmp.close();
});

test("a refused command is told with QEMU's words, and the next one works", async () => {
  server = await fakeServer(greeting(7, 2), (line) =>
    line.includes("nonsense") ? '{"error": {"class": "CommandNotFound", "desc": "The command nonsense has not been found"}}\r\n' : EMPTY,
  );
  const qmp = await QmpClient.connect(server.path);
  await expect(qmp.execute("nonsense")).rejects.toMatchObject({
    name: "QmpError",
    kind: "CommandNotFound",
    message: "nonsense: The command nonsense has not been found",
  });
  expect(await qmp.execute("stop")).toEqual({});
  qmp.close();
});

test("a socket that goes away is told", async () => {
  server = await fakeServer(greeting(7, 2), (line) => (line.includes("quit") ? undefined : EMPTY));
  const qmp = await QmpClient.connect(server.path);
  await expect(qmp.execute("quit")).rejects.toMatchObject({ name: "ConnectionLost", message: "QEMU has gone before it answered quit" });
  await expect(qmp.execute("stop")).rejects.toMatchObject({ name: "ConnectionLost" });
  expect(qmp.closed).toBe(true);
});

test("no socket, a busy one, another program and silence each have their words", async () => {
  await expect(QmpClient.connect("/nonexistent/qmp.sock")).rejects.toThrow("/nonexistent/qmp.sock: no such socket");
  server = await fakeServer("", () => EMPTY);
  await expect(QmpClient.connect(server.path)).rejects.toThrow("another client may hold it");
  await server.close();
  server = await fakeServer("220 mail.example.org ESMTP\r\n", () => EMPTY);
  await expect(QmpClient.connect(server.path)).rejects.toThrow('this is no QMP socket: it begins with "220 mail.example.org ESMTP"');
  await server.close();
  server = await fakeServer(greeting(7, 2), () => "");
  await expect(QmpClient.connect(server.path, 50)).rejects.toThrow("no answer to qmp_capabilities within 0.05 s");
});
