const { HttpError } = require('./http');

const TIMEOUT_MS = 10_000;
const NOTHING_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH']);

async function deliver(url, message) {
    let response;

    try {
        response = await fetch(`${url}/deliver`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify(message),
            signal: AbortSignal.timeout(TIMEOUT_MS),
        });
    } catch (error) {
        // 502 says "not sent, try again", 504 says "may have been sent": the caller must not repeat the second.
        throw NOTHING_SENT.has(error.cause?.code)
            ? new HttpError(502, 'Network is unreachable.')
            : new HttpError(504, 'Network did not confirm the message.');
    }

    await response.arrayBuffer();

    if (!response.ok) {
        throw new HttpError(502, `Network answered ${response.status}.`);
    }
}

module.exports = { deliver };
