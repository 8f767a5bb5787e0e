// An OpenID provider, certified as one: oidc-provider, with the accounts and clients that a test gives as JSON.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import { Provider } from 'oidc-provider';

const given = JSON.parse(process.argv[2]);
const scope = 'openid relais';
const provider = new Provider(given.issuer, {
  clients: given.clients,
  cookies: { keys: ['a key of the tests'] },
  scopes: scope.split(' '),
  claims: { openid: ['sub'], relais: ['relais_role', 'relais_org'] },
  conformIdTokenClaims: given.claims_by_userinfo,
  pkce: { required: () => true },
  findAccount: (_, id) => given.accounts[id] && {
    accountId: id,
    claims: () => ({ sub: id, ...given.accounts[id] }),
  },
  // Nobody is asked whether Relais may know their role.
  loadExistingGrant: async ({ oidc }) => {
    const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope(scope);
    await grant.save();
    return grant;
  },
});
const tls = { cert: readFileSync(given.certificate), key: readFileSync(given.key) };
createServer(tls, provider.callback()).listen(given.port, '127.0.0.1', () => console.log('ready'));
