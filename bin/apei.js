#!/usr/bin/env node
const { writeSync } = require("node:fs");
const { load } = require("./command-line.js");

/**
 * Results go straight to the descriptor: making a stream of it takes longer than decoding a record. The stream is for
 * those who wait until a chunk is gone, for what a full pipe does not take at once, and for consoles of Windows, which
 * have an encoding of their own.
 */
function output(name, fd, failed) {
  let stream;
  const opened = () => (stream ??= process[name].on("error", failed));
  return {
    get isTTY() {
      return opened().isTTY;
    },
    write(chunk, done) {
      if (stream || done || process.platform === "win32") return opened().write(chunk, done);
      const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      let at = 0;
      try {
        while (at < bytes.length) at += writeSync(fd, bytes, at);
      } catch (error) {
        if (error.code === "EAGAIN") return opened().write(bytes.subarray(at));
        failed(error);
      }
      return true;
    },
  };
}
/** Nobody is left to be told. */
const stderr = output("stderr", 2, () => {});
const stdout = output("stdout", 1, (error) => {
  // Who closed the pipe has seen enough.
  if (error.code === "EPIPE") process.exit(0);
  stderr.write(`apei: standard output: ${error.message}\n`);
  process.exit(2);
});

load("main")
  .then(({ main }) =>
    main(process.argv.slice(2), {
      get stdin() {
        return process.stdin;
      },
      stdinFd: 0,
      stdout,
      stderr,
      env: process.env,
      importModule: (url) => import(url),
    }),
  )
  .then((code) => {
    process.exitCode = code;
  });
