//! The device itself: its keys, its account, what WhatsApp knows it by.

use std::sync::Arc;

use async_trait::async_trait;
use whatsapp_rust::store::error::Result as Stored;
use whatsapp_rust::store::traits::DeviceStore;
use whatsapp_rust::wacore::client_profile::ClientProfile;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::device::DEVICE_PROPS;

use super::{Backend, kind};

/// A number has one device.
const ID: i32 = 1;

#[async_trait]
impl DeviceStore for Backend {
    async fn save(&self, device: &Device) -> Stored<()> {
        self.put_json(Self::plain(kind::DEVICE, ""), device).await
    }

    async fn load(&self) -> Stored<Option<Device>> {
        let found: Option<Device> = self.get_json(Self::plain(kind::DEVICE, "")).await?;
        // What a device says of itself is not part of what is written down.
        Ok(found.map(|device| Device {
            device_props: Arc::new(DEVICE_PROPS.clone()),
            client_profile: ClientProfile::web(),
            ..device
        }))
    }

    async fn exists(&self) -> Stored<bool> {
        Ok(self.get(Self::plain(kind::DEVICE, "")).await?.is_some())
    }

    async fn create(&self) -> Stored<i32> {
        self.save(&Device::new()).await?;
        Ok(ID)
    }
}
