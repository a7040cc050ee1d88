//! [`Ledger`]: the sandbox as a [`Chain`], for whoever verifies payments.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;
use loopd_kernel::Kernel;
use loopd_store::{Reader, View};
use loopd_types::{Problem, Result as Outcome};

use super::sandbox::window;
use super::store::{self, ledger};
use crate::evm::abi::{PERMIT2, PROXY};
use crate::evm::{Chain, Deployment, Domain, Fault, Network};
use crate::x402::{Method, Payment};

/// One chain of the sandbox, with the tokens that are known of it. Only keys have accounts here: there is no code, so there are no
/// wallet contracts.
pub struct Ledger {
    pub kernel: Arc<Kernel>,
    pub network: Network,
    /// What every address begins with.
    pub grant: i64,
}

impl Ledger {
    async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Reader<'_>) -> Outcome<T> + Send + 'static,
    ) -> Result<T, Fault> {
        self.kernel.db.read(View::System, work).await.map_err(unreachable)
    }

    fn token(&self, asset: Address) -> ledger::Token {
        ledger::Token { chain: self.network.chain, asset, grant: self.grant }
    }

    fn tokens(&self) -> Vec<Address> {
        self.network.tokens.iter().map(|token| token.address).collect()
    }

    fn is_token(&self, address: Address) -> bool {
        self.network.token(address).is_some()
    }
}

fn unreachable(problem: Problem) -> Fault {
    Fault::Unreachable(problem.cause().unwrap_or(problem.message()).to_owned())
}

#[async_trait]
impl Chain for Ledger {
    fn id(&self) -> u64 {
        self.network.chain
    }

    async fn domain(&self, token: Address) -> Result<Domain, Fault> {
        let known = self.network.token(token).ok_or(Fault::Reverted(None))?;
        Ok(Domain::of(&known.name, &known.version, self.network.chain, token))
    }

    async fn balance(&self, token: Address, owner: Address) -> Result<U256, Fault> {
        let token = self.token(token);
        let balance = self.read(move |reader| ledger::balance(reader, token, owner)).await?;
        Ok(U256::from(balance.unsigned_abs()))
    }

    async fn is_authorization_used(&self, token: Address, authorizer: Address, nonce: B256) -> Result<bool, Fault> {
        let chain = self.network.chain;
        self.read(move |reader| store::is_used(reader, chain, &[token], authorizer, nonce)).await
    }

    async fn is_permit_used(&self, owner: Address, nonce: U256) -> Result<bool, Fault> {
        let (chain, tokens) = (self.network.chain, self.tokens());
        self.read(move |reader| store::is_used(reader, chain, &tokens, owner, nonce.into())).await
    }

    /// Nobody needs to allow it anything here.
    async fn permit2_allowance(&self, _: Address, _: Address) -> Result<U256, Fault> {
        Ok(U256::MAX)
    }

    async fn has_code(&self, address: Address) -> Result<bool, Fault> {
        Ok(address == PERMIT2 || address == PROXY || self.is_token(address))
    }

    async fn accepts(&self, _: Address, _: B256, _: &Bytes, _: Option<&Deployment>) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn simulate(&self, asset: Address, payment: &Payment, _: Option<&Deployment>) -> Result<(), Fault> {
        if !self.is_token(asset) {
            return Err(Fault::Reverted(None));
        }
        let refused = |words: &str| Err(Fault::Reverted(Some(words.to_owned())));
        if let Err(reason) = window(&payment.method, self.kernel.now()) {
            return refused(reason);
        }
        let (token, payer, nonce) = (self.token(asset), payment.payer(), payment.nonce());
        // Permit2 counts its nonces for all tokens together.
        let of = match payment.method {
            Method::Authorization(_) => vec![asset],
            Method::Permit(_) => self.tokens(),
        };
        let read = move |reader: &mut Reader<'_>| {
            let is_used = store::is_used(reader, token.chain, &of, payer, nonce)?;
            Ok((is_used, ledger::balance(reader, token, payer)?))
        };
        match self.read(read).await? {
            // the contract's words
            (true, _) => refused("FiatTokenV2: authorization is used or canceled"),
            (_, has) if U256::from(has.unsigned_abs()) < payment.value() => {
                refused("ERC20: transfer amount exceeds balance")
            }
            _ => Ok(()),
        }
    }
}
