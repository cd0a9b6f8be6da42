/** Worker thread of the bulk decoder. */
const { parentPort, workerData } = require("node:worker_threads");
const { load } = require("./command-line.js");

load("bulk-worker").then(({ serveBatches }) => serveBatches(parentPort, workerData, (url) => import(url)));
