// What the drivers share. A failure is awaited, never hoped for.

import assert from "node:assert/strict";

export const MADE = "gämma 日本";
export const CHANGED = "Größe ✓";

// The error of something that must fail.
export async function failure(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  return assert.fail(`no failure but ${JSON.stringify(value)}`);
}

// The one line that the test reads.
export function report(value) {
  console.log(JSON.stringify(value));
}

// A PnP behaviour that signs requests the way that library's own ones do, in the auth moment of its timeline.
export const Token = (token) => (instance) => {
  instance.on.auth.replace(async (url, init) => {
    init.headers = { ...init.headers, Authorization: `Bearer ${token}` };
    return [url, init];
  });
  return instance;
};
