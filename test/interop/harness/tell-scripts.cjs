/** Preloaded into each thread of a program: says of every script whether V8 took the code that lay beside it. */
const { writeSync } = require("node:fs");
const { basename } = require("node:path");
const vm = require("node:vm");

const STDERR = 2;

vm.Script = class extends vm.Script {
  constructor(source, options) {
    super(source, options);
    const isTaken = this.cachedDataRejected === false;
    writeSync(STDERR, `${basename(options.filename)} ${isTaken ? "with" : "without"} its code\n`);
  }
};
