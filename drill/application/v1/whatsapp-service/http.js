const { createHash, timingSafeEqual } = require('crypto');

const MAX_BODY_BYTES = 64 * 1024;

class HttpError extends Error {
    constructor(status, message) {
        super(message);
        this.status = status;
    }
}

function digest(text) {
    return createHash('sha256').update(text).digest();
}

function requireToken(request, token) {
    const given = (request.headers.authorization ?? '').replace(/^Bearer /, '');

    if (!timingSafeEqual(digest(given), digest(token))) {
        throw new HttpError(401, 'Unauthenticated.');
    }
}

async function readJson(request) {
    const chunks = [];
    let size = 0;

    for await (const chunk of request) {
        size += chunk.length;

        if (size > MAX_BODY_BYTES) {
            throw new HttpError(413, 'Body is too large.');
        }

        chunks.push(chunk);
    }

    let body;

    try {
        body = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    } catch {
        throw new HttpError(400, 'Body is not JSON.');
    }

    // PHP sends an empty map as [].
    if (typeof body !== 'object' || body === null) {
        throw new HttpError(400, 'Body is not an object.');
    }

    return body;
}

module.exports = { HttpError, readJson, requireToken };
