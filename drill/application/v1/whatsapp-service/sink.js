const { HttpError } = require('./http');

const TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 2_000;
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

/** State of a device at the network: a 401 means that its phone has unlinked it, anything else may pass. */
async function connect(url, device) {
    const response = await fetch(`${url}/connect`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ device }),
        signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS),
    }).catch(() => null);

    await response?.arrayBuffer().catch(() => null);

    return response?.ok ? 'connected' : response?.status === 401 ? 'logged_out' : 'disconnected';
}

module.exports = { connect, deliver };
