/**
 * Preloaded into each thread of a program: says of every script whether V8 took the code that lay
 * beside it, and where code could still be made of strings.
 */
const { writeSync } = require("node:fs");
const { basename } = require("node:path");
const vm = require("node:vm");

const STDERR = 2;

vm.Script = class extends vm.Script {
  constructor(source, options) {
    super(source, options);
    const isTaken = this.cachedDataRejected === false;
    const warning = makesCode() ? ", and eval makes more of it" : "";
    writeSync(STDERR, `${basename(options.filename)} ${isTaken ? "with" : "without"} its code${warning}\n`);
  }
};

function makesCode() {
  try {
    return new Function("return true")();
  } catch {
    return false;
  }
}
