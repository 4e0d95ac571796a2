"use strict";
(function () {
  const work = document.getElementById("work").dataset;
  const state = document.getElementById("state");
  const bar = document.getElementById("bar");
  const NAME = "gatewright_proof";
  const SLICE_MS = 40;
  const difficulty = Number(work.difficulty);
  const expected = Math.pow(2, difficulty);

  // The first words of the fractional parts of roots of primes (FIPS 180-4).
  const primes = [];
  for (let number = 2; primes.length < 64; number++) {
    if (primes.every(function (prime) { return number % prime; })) primes.push(number);
  }
  function fraction(root) { return ((root - Math.floor(root)) * 0x100000000) | 0; }
  const ROUNDS = Int32Array.from(primes, function (prime) { return fraction(Math.cbrt(prime)); });
  const START = Int32Array.from(primes.slice(0, 8), function (prime) { return fraction(Math.sqrt(prime)); });

  const words = new Int32Array(64);
  function turn(word, by) { return (word >>> by) | (word << (32 - by)); }

  // Takes one block of sixteen words, in `words`.
  function compress(hash) {
    for (let at = 16; at < 64; at++) {
      const near = words[at - 2], far = words[at - 15];
      const one = turn(near, 17) ^ turn(near, 19) ^ (near >>> 10);
      const nil = turn(far, 7) ^ turn(far, 18) ^ (far >>> 3);
      words[at] = (words[at - 16] + nil + words[at - 7] + one) | 0;
    }
    let a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4], f = hash[5], g = hash[6], h = hash[7];
    for (let at = 0; at < 64; at++) {
      const one = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
      const first = (h + one + ((e & f) ^ (~e & g)) + ROUNDS[at] + words[at]) | 0;
      const nil = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
      const second = (nil + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + first) | 0; d = c; c = b; b = a; a = (first + second) | 0;
    }
    hash[0] += a; hash[1] += b; hash[2] += c; hash[3] += d; hash[4] += e; hash[5] += f; hash[6] += g; hash[7] += h;
  }

  function load(text, from) {
    words.fill(0, 0, 16);
    for (let at = 0; at < text.length; at++) words[(from + at) >> 2] |= text.charCodeAt(at) << (24 - 8 * ((from + at) & 3));
  }

  // The seed fills the first block, which is the same for every number.
  const first = Int32Array.from(START);
  load(work.seed, 0);
  compress(first);
  const hash = new Int32Array(8);

  function zeros(number) {
    const text = "." + number;
    load(text, 0);
    words[text.length >> 2] |= 0x80 << (24 - 8 * (text.length & 3));
    words[15] = (work.seed.length + text.length) * 8;
    hash.set(first);
    compress(hash);
    return hash[0] ? Math.clz32(hash[0]) : 32 + Math.clz32(hash[1]);
  }

  function finish(number) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    const proof = "p." + work.time + "." + number;
    document.cookie = NAME + "=" + proof + "; Path=/; Max-Age=" + work.lifetime + "; SameSite=Lax" + secure;
    if (document.cookie.indexOf(proof) < 0) {
      state.textContent = "Your browser keeps no cookies of this site, so the work cannot be shown.";
      return;
    }
    bar.value = 1;
    state.textContent = "Done. Your request goes on.";
    location.reload();
  }

  let number = 0;
  function slice() {
    const until = Date.now() + SLICE_MS;
    do {
      for (let count = 0; count < 256; count++, number++) {
        if (zeros(number) >= difficulty) return finish(number);
      }
    } while (Date.now() < until);
    // How likely it is to have been found by now.
    bar.value = 1 - Math.exp(-number / expected);
    setTimeout(slice, 0);
  }
  state.textContent = "Working.";
  setTimeout(slice, 0);
})();
