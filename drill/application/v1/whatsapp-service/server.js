const http = require('http');
const { Accounts } = require('./accounts');
const environment = require('./environment');
const { HttpError, readJson, requireToken } = require('./http');
const { connect, deliver } = require('./sink');

const VERSION = 'v1';
const REQUIRED = ['PORT', 'SESSION_DIR', 'SINK_URL', 'SERVICE_TOKEN'];

// Session files are keys to the accounts.
process.umask(0o077);

const env = environment.load();
const accounts = new Accounts(env.SESSION_DIR, (device) => connect(env.SINK_URL, device));

function health() {
    const sessions = Object.fromEntries(accounts.list().map(({ account, state }) => [account, state]));
    const healthy = Object.values(sessions).every((state) => state === 'connected');

    return { status: healthy ? 'ok' : 'degraded', version: VERSION, sessions };
}

async function restart({ account }) {
    if (account !== undefined && !accounts.get(account)) {
        throw new HttpError(404, 'Unknown account.');
    }

    await accounts.load(account);

    return accounts.list();
}

async function send({ message_id, account, to, body }) {
    for (const value of [message_id, account, to, body]) {
        if (typeof value !== 'string' || value === '') {
            throw new HttpError(422, 'message_id, account, to and body are required.');
        }
    }

    const sender = accounts.get(account)?.describe();

    if (!sender) {
        throw new HttpError(404, 'Unknown account.');
    }

    if (sender.state !== 'connected') {
        throw new HttpError(503, `Account is ${sender.state}.`);
    }

    await deliver(env.SINK_URL, { message_id, account, from: sender.me, to, body });

    return { message_id, accepted: true };
}

const routes = {
    'GET /health': { open: true, handle: async () => [200, health()] },
    'GET /sessions': { handle: async () => [200, accounts.list()] },
    'POST /sessions/restart': { handle: async (request) => [200, await restart(await readJson(request))] },
    'POST /messages': { handle: async (request) => [202, await send(await readJson(request))] },
};

async function answer(request) {
    const route = routes[`${request.method} ${request.url}`];

    if (!route) {
        throw new HttpError(404, 'Not found.');
    }

    if (!route.open) {
        requireToken(request, env.SERVICE_TOKEN);
    }

    return route.handle(request);
}

async function listener(request, response) {
    const [status, body] = await answer(request).catch((error) => {
        if (!(error instanceof HttpError)) {
            console.error(error);
        }

        return [error.status ?? 500, { message: error.status ? error.message : 'Internal error.' }];
    });

    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(body));
}

async function main() {
    const missing = REQUIRED.filter((key) => !env[key]);

    if (missing.length > 0) {
        throw new Error(`missing in the environment file: ${missing.join(', ')}`);
    }

    await accounts.load();
    accounts.startSaving();

    const server = http.createServer(listener);
    server.listen(Number(env.PORT), () => console.log(`WhatsApp service ${VERSION} listens on ${env.PORT}`));

    const stop = () => {
        // Answers what is under way first: a cut connection leaves the caller not knowing whether its message went out.
        server.close(async () => {
            await accounts.stop();
            process.exit(0);
        });
        server.closeIdleConnections();
    };

    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
}

main().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
